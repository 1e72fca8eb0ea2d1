"""The page of a runbook: all that a person needs who follows it without the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runbooks.engine.model import Look, Parameter, Runbook, Step

GENERATED = "Generated from {source}; do not edit. `.venv/bin/python .ci/check_runbooks.py` writes it anew."
INDEX = """# Runbooks

{generated}

Each is a page to follow and a command that does the same: `simplicity runbook run NAME`. `simplicity runbook list` has
this list, `simplicity runbook show NAME` the page. How one is written: [WRITING.md](WRITING.md).

| runbook | what it is for | destroys |
|---|---|---|
"""


def page(book: Runbook, source: str = "its runbook") -> str:
    """Return the page as Markdown."""
    parts = [
        f"# {book.title}",
        f"<!-- {GENERATED.format(source=source)} -->",
        f"Runbook `{book.name}`.",
        *([f"## Before\n\n{book.before.strip()}"] if book.before.strip() else []),
        "## Meaning",
        book.meaning.strip(),
        "## Impact",
        book.impact.strip(),
        "## Diagnosis",
        "Nothing is changed by looking.",
        "\n".join(_look(look) for look in book.diagnosis),
        "## Steps",
        *(part for number, step in enumerate(book.steps, 1) for part in _step(number, step)),
        "## Verify",
        "\n".join(_look(look, f" (asked for up to {look.within:g} s)") for look in book.verify),
        "## Undo",
        book.undo.strip(),
        _on_failure(book),
        "## Run it",
        *_run_it(book),
    ]
    return "\n\n".join(parts) + "\n"


def index(books: Mapping[str, Runbook]) -> str:
    """Return the list of all runbooks as Markdown."""
    lines = (
        f"| [{name}]({name}.md) | {_cell(book.title)} | {'yes, asks first' if book.destroys else 'nothing'} |\n"
        for name, book in books.items()
    )
    return INDEX.format(generated=f"<!-- {GENERATED.format(source='the runbooks')} -->") + "".join(lines)


def _look(look: Look, how_long: str = "") -> str:
    by_hand = f" By hand: {look.by_hand.strip()}" if look.by_hand else ""
    return f"- {look.title}{how_long}.{by_hand}"


def _step(number: int, step: Step) -> Iterator[str]:
    yield f"### {number}. {step.title}"
    lines = [f"- Step `{step.name}`, at most {step.within:g} s with its assertion."]
    if step.destroys:
        unless = "" if step.spares is None else "; not where its arguments say that nothing is to be done"
        lines.append(f"- **Destroys something**: the command shows a dry run and asks first{unless}.")
    if step.reads_only:
        lines.append("- Changes nothing; a dry run carries it out too.")
    lines.append(f"- By hand: {step.by_hand.strip() or 'there is no other way than the command.'}")
    lines.append(f"- Goes on only when: {step.asserts.strip()}")
    lines.append(f"- Undo: {step.undo_title.strip() or 'none; what it did stays.'}")
    yield "\n".join(lines)


def _on_failure(book: Runbook) -> str:
    if book.on_failure == "undo":
        return "When a step fails, every step that had begun is undone by itself, the last one first."
    return "When a step fails the run stops there: go on with `resume`, or take it back with `undo`."


def _run_it(book: Runbook) -> Iterator[str]:
    required = "".join(f" --arg {each.name}={each.example}" for each in book.parameters if each.default is None)
    yes = " --yes" if book.destroys else ""
    commands = [
        f"simplicity runbook run {book.name}{required} --dry-run  # looks, and says what it would do",
        f"simplicity runbook run {book.name}{required}{yes}",
        "simplicity runbook resume  # after a failure, or when its process died",
        "simplicity runbook undo    # takes an unfinished run back",
    ]
    yield "\n".join(("```console", *commands, "```"))
    if book.parameters:
        heading = "| argument | what | default | example |\n|---|---|---|---|\n"
        yield heading + "\n".join(_parameter(each) for each in book.parameters)


def _parameter(each: Parameter) -> str:
    default = "required" if each.default is None else f"`{each.default}`" if each.default else "empty"
    return f"| `{each.name}` | {_cell(each.help)} | {default} | `{each.example}` |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
