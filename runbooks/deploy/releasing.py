"""The acts of a release, what each asserts, and how each is taken back: traffic first."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from runbooks.deploy import acting, looking
from runbooks.engine.model import Halt, Step, Unmet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbooks.deploy.watching import Counters, Verdict
    from runbooks.engine.model import Context, Json

# Twice as many requests each time, about: from 25 % to all of them at once, a fresh process was too slow for a moment.
STAGES = (5, 25, 50, 100)
LEAST_FREE = 500_000_000  # bytes: a release unpacked, and the one that is being brought
WATCH_LIMIT, WATCH_POLL = 600.0, 2.0


def pass_gates(context: Context) -> Mapping[str, Json]:
    """Ask every gate; the facts have their words. Raises Halt where one is not passed."""
    found = looking.all_gates(context)
    bad = [each.sentence for each in found if not each.passed]
    if bad:
        raise Halt("; ".join(bad))
    return {"gates": {each.name: each.words for each in found}}


def gates_passed(context: Context) -> str:
    """Say that all gates were passed."""
    gates: Any = context.facts["gates"]
    return f"{len(gates)} gates passed"


def verify_artifact(context: Context) -> Mapping[str, Json]:
    """Compare every file of the release with what was signed. Raises Halt."""
    from runbooks.deploy.manifest import as_fact, verify  # noqa: PLC0415 - a page is shown without these packages
    from runbooks.deploy.store import store  # noqa: PLC0415 - as above

    with acting.told():
        directory = store().release(str(context.arguments["release"]))
        found = verify(directory, looking.trusted(context), lambda done, all_: context.progress(done, all_, "files"))
    return {"release": as_fact(found), "files": len(found.files)}


def is_verified(context: Context) -> str:
    """Say that no byte was changed."""
    return f"{context.facts['files']} files are as they were signed"


def preflight(context: Context) -> Mapping[str, Json]:
    """Find out which colour is live; everything later, and every way back, is decided by that."""
    from runbooks.deploy.watching import count, limits  # noqa: PLC0415 - as in verify_artifact()

    found = acting.hosts(context)
    live, idle = acting.live_colour(context)
    old, before = acting.one_release(found, live), acting.one_release(found, idle, idle=True)
    if old == context.arguments["release"]:
        raise Halt(f"{old} is live already, as {live}; there is nothing to deploy")
    for name, state in found.items():
        if state.free < LEAST_FREE:
            raise Halt(f"{name} has {state.free // 1_000_000} MB left, {LEAST_FREE // 1_000_000} are needed; make room")
        if not state.active[live]:
            raise Halt(f"{name}: {live} does not run, though it has the traffic; `simplicity deploy status`")
    with acting.told():
        count(context.environment, live, limits().seconds)
    return {"live": live, "idle": idle, "old_release": old, "idle_before": before}


def is_known(context: Context) -> str:
    """Say which colour is live."""
    facts = context.facts
    return f"{facts['live']} is live with {facts['old_release']}; the release goes to {facts['idle']}"


def install(context: Context) -> None:
    """Bring the release to all hosts."""
    from runbooks.deploy.store import store  # noqa: PLC0415 - as in verify_artifact()

    acting.play(context, "install", release=_new(context), artifacts=str(store().home))


def is_installed(context: Context) -> str:
    """Say where it is."""
    return f"{len(context.environment.hosts['api'])} hosts have {_new(context)}, whole"


def migrate(context: Context) -> None:
    """Bring the database to the schema of the release."""
    acting.play(context, "migrate", release=_new(context))


def is_migrated(context: Context) -> str:
    """Say which schema there is."""
    release: Any = context.facts["release"]
    return f"the database has schema {release['schema']}"


def start(context: Context) -> None:
    """Start the release as the idle colour, and let Prometheus ask it."""
    # Nobody asks the idle colour: its hosts need not wait for each other.
    acting.play(context, "start", release=_new(context), colour=acting.fact(context, "idle"), **looking.AT_ONCE)
    acting.observe(context, acting.fact(context, "live"), acting.fact(context, "idle"))


def runs(context: Context) -> str:
    """Say that each process of the new colour is ready."""
    return acting.await_ready(context, acting.fact(context, "idle"), _new(context))


def stop_new(context: Context) -> None:
    """Take the new colour away, and let the colour name what it had before: that is what a roll back goes to."""
    from runbooks.deploy.hosts import point, unit  # noqa: PLC0415 - as in verify_artifact()

    if "idle" not in context.facts:
        return
    acting.give_back(context)
    with acting.told():
        unit(context.environment, "stop", acting.fact(context, "idle"))
        point(context.environment, acting.fact(context, "idle"), acting.fact(context, "idle_before"))
    acting.observe(context, acting.fact(context, "live"))


def smoke_test(context: Context) -> Mapping[str, Json]:
    """Ask each new process directly. Raises Halt for a wrong answer."""
    from runbooks.deploy.smoke import smoke  # noqa: PLC0415 - as in verify_artifact()

    live, idle = acting.fact(context, "live"), acting.fact(context, "idle")
    with acting.told():
        words = [
            smoke(context.environment, host.address, idle, _new(context), live)
            for host in context.environment.hosts["api"]
        ]
    return {"smoke": "; ".join(words)}


def is_seen(context: Context) -> str:
    """Say that Prometheus asks the new processes: from here on their requests are counted."""
    from runbooks.deploy.watching import seen  # noqa: PLC0415 - as in verify_artifact()

    wanted = len(context.environment.hosts["api"])
    with acting.told():
        there = seen(context.environment, acting.fact(context, "idle"))
    if there < wanted:
        raise Unmet(f"Prometheus sees {there} of {wanted} processes of {context.facts['idle']}")
    return str(context.facts["smoke"])


def stage(percent: int) -> Step:
    """Return the step that gives the new colour so much of the traffic, and watches it."""

    def shares(context: Context) -> dict[str, int]:
        return {acting.fact(context, "live"): 100 - percent, acting.fact(context, "idle"): percent}

    def act(context: Context) -> Mapping[str, Json]:
        found: dict[str, Json] = {}
        if "counted_before" not in context.facts:
            found["counted_before"] = acting.as_json(_count(context).fact())
            found["switched_at"] = time.time()
        acting.shift(context, shares(context), context.key)
        if percent < STAGES[-1]:
            _watched(context, found, float(str(context.arguments["stage-seconds"])), 0)
        return found

    return Step(
        name=f"shift-{percent}",
        title=f"Give the new colour {percent} % of the traffic" + (", and watch it" if percent < STAGES[-1] else ""),
        asserts="every balancer says so, and the new colour keeps the objectives",
        act=act,
        check=lambda context: acting.has_shares(context, shares(context)),
        within=90.0,
        by_hand="`set server api/HOST-COLOUR weight N` on `/run/haproxy/admin.sock` of every balancer",
        undo=acting.give_back,
        undo_title="Give all traffic back to the old colour",
    )


def _count(context: Context) -> Counters:
    from runbooks.deploy.watching import count, limits  # noqa: PLC0415 - as in verify_artifact()

    with acting.told():
        return count(context.environment, acting.fact(context, "idle"), limits().seconds)


def _verdict(context: Context, since: Any, least: int) -> Verdict:  # noqa: ANN401 - counters as the journal has them
    from runbooks.deploy.watching import Counters, judge, limits  # noqa: PLC0415 - as in verify_artifact()

    return judge(Counters(**since), _count(context), limits(), least=least)


def _watched(context: Context, found: Mapping[str, Json], seconds: float, least: int) -> Verdict:
    """Look at the new colour for so long, and until it has had so many requests. Raises Halt once it is bad."""
    since = found.get("counted_before") or context.facts["counted_before"]
    began = time.monotonic()
    while True:
        verdict = _verdict(context, since, least)
        if verdict.bad:
            raise Halt(verdict.bad)
        passed = time.monotonic() - began
        if passed >= seconds and not verdict.waiting:
            return verdict
        if passed > seconds and context.remaining() < 2 * WATCH_POLL:
            raise Halt(
                f"too few requests to judge it by: {verdict.waiting} in {passed:.0f} s; no traffic is a failed gate"
            )
        context.progress(min(passed, seconds), max(seconds, 1.0), f"watching: {verdict.words}")
        time.sleep(WATCH_POLL)


def watch(context: Context) -> Mapping[str, Json]:
    """Watch the new colour with all traffic. Raises Halt where it is no good."""
    seconds, least = (int(str(context.arguments[name])) for name in ("watch-seconds", "watch-requests"))
    began = time.monotonic()
    verdict = _watched(context, {}, seconds, least)
    now = _count(context)
    before: Any = context.facts["counted_before"]
    return {
        "watched": verdict.words,
        "watched_seconds": round(time.monotonic() - began, 1),
        "watched_requests": round(now.requests - before["requests"]),
    }


def was_good(context: Context) -> str:
    """Say what was watched."""
    return f"{context.facts['watched']} in {context.facts['watched_seconds']} s at full traffic"


def move_sync(context: Context) -> None:
    """Let sync run the release, the standby first."""
    acting.play(context, "sync", release=_new(context))


def syncs(context: Context) -> str:
    """Say that sync runs the release."""
    return has_sync(context, _new(context))


def has_sync(context: Context, release: str) -> str:
    """Say that sync runs a release on all hosts. Raises Unmet where it does not."""
    for name, state in acting.hosts(context).items():
        if state.current != release or not state.sync:
            raise Unmet(f"{name}: sync {'runs' if state.sync else 'does not run'}, of {state.current or 'no release'}")
    return f"sync is of {release} on all hosts"


def sync_back(context: Context) -> None:
    """Give all traffic back, then let sync run the old release."""
    acting.give_back(context)
    acting.play(context, "sync", release=acting.fact(context, "old_release"))


def retire(context: Context) -> Mapping[str, Json]:
    """Stop the old colour once nobody asks it."""
    said = acting.retired(context, acting.fact(context, "live"))
    acting.observe(context, acting.fact(context, "idle"))
    return {"drained": said}


def is_retired(context: Context) -> str:
    """Say that the old colour is stopped. Raises Unmet."""
    live = acting.fact(context, "live")
    left = [name for name, state in acting.hosts(context).items() if state.active[live]]
    if left:
        raise Unmet(f"{live} still runs on {', '.join(left)}")
    return f"{live} is stopped, and kept for a roll back; {context.facts['drained']}"


def bring_back(context: Context) -> None:
    """Start the old colour before it gets its traffic back: it may have been stopped already."""
    acting.start_again(context, acting.fact(context, "live"), acting.fact(context, "old_release"))
    acting.give_back(context)


def state_that_it_ran(context: Context) -> Mapping[str, Json]:
    """Sign that this environment has run the release, as the next one asks for; never fails a good release."""
    from runbooks.deploy.errors import DeployError  # noqa: PLC0415 - as in verify_artifact()
    from runbooks.deploy.keys import paths, signer  # noqa: PLC0415 - as above
    from runbooks.deploy.store import now, ran_of, store  # noqa: PLC0415 - as above

    name = context.environment.name
    words = {"release": _new(context), "environment": name, "at": now(), "requests": context.facts["watched_requests"]}
    try:
        store().state(ran_of(_new(context), name), words, signer(paths(context.environment)[0]))
    except (DeployError, OSError) as error:
        return {"stated": f"nobody has signed that it ran here: {error}"}
    return {"stated": f"signed: {name} has run {_new(context)}"}


def was_stated(context: Context) -> str:
    """Say whether it was signed."""
    return str(context.facts["stated"])


def answers(context: Context) -> str:
    """Say that clients reach the new release."""
    from runbooks.deploy.asking import ask  # noqa: PLC0415 - as in verify_artifact()

    with acting.told():
        answer = ask(context.environment, f"{context.environment.endpoints.api}/health/ready")
    if answer.release != _new(context):
        raise Unmet(f"clients reach {answer.release or 'no release'}")
    return f"clients reach {answer.release}"


def _new(context: Context) -> str:
    return str(context.arguments["release"])
