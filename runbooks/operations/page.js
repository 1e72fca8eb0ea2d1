// Without this the page is the same and a person loads it anew; with it only what has changed is replaced.
(() => {
  "use strict";
  const stale = document.getElementById("stale");
  const held = document.getElementById("held");
  const parts = () => document.querySelectorAll("[data-part]");
  // As the server sent them: what a person opens is no change of theirs.
  const served = new Map(Array.from(parts(), (part) => [part.dataset.part, part.outerHTML]));
  let heldSince = null;

  const isSelected = (part) => {
    const selection = document.getSelection();
    return Boolean(selection && !selection.isCollapsed && selection.containsNode(part, true));
  };

  // What in the new part is the same thing: the same link, or what has the same key; null where it is gone.
  const twin = (element, before, after) => {
    const key = element.closest("[data-key]")?.dataset.key;
    const selector = element.matches("a[href]")
      ? `a[href="${CSS.escape(element.getAttribute("href"))}"]`
      : key && `[data-key="${CSS.escape(key)}"]${element.matches("summary") ? " > summary" : ""}`;
    if (!selector) return null;
    const same = Array.from(after.querySelectorAll(selector));
    return same[Array.from(before.querySelectorAll(selector)).indexOf(element)] || same.pop() || null;
  };

  const isInView = ({ top, bottom }) => bottom > 0 && top < window.innerHeight;

  // What a person has opened or stands on stays so, and stays where it is on the screen.
  const replace = (part, other) => {
    const fresh = document.importNode(other, true);
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const opened = Array.from(part.querySelectorAll("details[open]"));
    const anchor = [focused, ...opened].find((each) => each && isInView(each.getBoundingClientRect()));
    const top = anchor && anchor.getBoundingClientRect().top;
    for (const each of opened) {
      const again = twin(each, part, fresh);
      if (again) again.open = true;
    }
    const focus = focused && twin(focused, part, fresh);
    const stays = anchor && twin(anchor, part, fresh);
    part.replaceWith(fresh);
    if (focus) focus.focus({ preventScroll: true });
    if (stays) window.scrollBy(0, stays.getBoundingClientRect().top - top);
  };

  // Text that is being selected must not be taken away; what stays old for it says so.
  const work = (fresh) => {
    let holds = false;
    for (const part of parts()) {
      const name = part.dataset.part;
      const other = fresh.querySelector(`[data-part="${CSS.escape(name)}"]`);
      if (!other || other.outerHTML === served.get(name)) continue;
      if (isSelected(part)) {
        holds = true;
        continue;
      }
      served.set(name, other.outerHTML);
      replace(part, other);
    }
    heldSince = holds ? heldSince || new Date() : null;
    held.hidden = !holds;
    if (holds) held.textContent = `Where text is selected the page is held back since ${heldSince.toISOString().slice(11, 19)} UTC.`;
  };

  const refresh = async () => {
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(15000) });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      work(fresh);
      document.title = fresh.title;
      stale.hidden = true;
    } catch {
      stale.hidden = false;
    }
    setTimeout(refresh, document.hidden ? 30000 : 5000);
  };
  setTimeout(refresh, 5000);
})();
