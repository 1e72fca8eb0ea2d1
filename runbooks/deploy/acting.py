"""What the steps of deployments have in common: who is asked, how traffic is moved, how it is given back."""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

from runbooks.engine.model import Halt, Unmet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runbooks.deploy.hosts import HostState
    from runbooks.deploy.playing import Played
    from runbooks.drivers.protocols import TrafficSwitch
    from runbooks.engine.model import Context, Json

# What a switch and an undo have to bear: a balancer that is being restarted.
TRIES, PAUSE = 3, 1.0
DRAIN_SECONDS = 15.0
TARGETS = "/etc/prometheus/targets/api.json"
READY_SECONDS = 60.0
BALANCER_METRICS = 8404
_SESSIONS = r'haproxy_server_current_sessions{{proxy="api",server="[^"]+-{colour}"}} ([0-9.e+]+)'
ALL = 100
Action = Literal["install", "migrate", "start", "sync"]


@contextmanager
def told() -> Iterator[None]:
    """Make a Halt of what keeps a deployment from its work."""
    from runbooks.deploy.errors import DeployError  # noqa: PLC0415 - a page is shown without these packages
    from runbooks.drivers.protocols import Refusal  # noqa: PLC0415 - as above

    try:
        yield
    except (DeployError, Refusal) as error:
        raise Halt(str(error)) from None


def fact(context: Context, name: str) -> str:
    """Return a fact that an earlier step has found. Raises Halt where none has."""
    if name not in context.facts:
        raise Halt(f"nobody has found out {name} yet: begin at the first step")
    return str(context.facts[name])


def switch(context: Context) -> TrafficSwitch:
    """Return who moves traffic in the run's environment."""
    from runbooks.deploy.network import enter  # noqa: PLC0415 - as in told()
    from runbooks.drivers.select import Drivers  # noqa: PLC0415 - as above

    enter(context.environment)
    return Drivers.for_environment(context.environment, context.folder / "operations").traffic_switch


def shift(context: Context, shares: Mapping[str, int], key: str) -> str:
    """Give the colours their shares on every balancer. Raises Halt where one of them cannot be told.

    Where one does not answer the others have their shares already: that is tried again before it is given up.
    """
    from runbooks.drivers.protocols import Phase  # noqa: PLC0415 - as in told()

    detail = ""
    with told():
        driver = switch(context)
        for number in range(TRIES):
            done = driver.shift(f"{key}-{number}-{time.time_ns() // 1_000_000:x}"[-100:], shares)
            if done.phase is Phase.DONE:
                context.record("deploy.shift", context.environment.name, after=dict(shares))
                return done.detail
            detail = done.detail
            time.sleep(min(PAUSE, context.remaining()))
    raise Halt(f"traffic cannot be moved to {dict(shares)}: {detail}")


def has_shares(context: Context, shares: Mapping[str, int]) -> str:
    """Say that every balancer has these shares. Raises Unmet where one has not."""
    with told():
        found = dict(switch(context).weights())
    wanted = {colour: share for colour, share in shares.items() if share}
    if {colour: share for colour, share in found.items() if share} != wanted:
        raise Unmet(f"the balancers have {found}")
    return f"all balancers have {found}"


def give_back(context: Context) -> None:
    """Let the colour that was live before have all traffic again; nothing is done before that is known."""
    if "live" not in context.facts:
        return
    live, idle = fact(context, "live"), fact(context, "idle")
    # Every step that may have moved traffic comes here: the first one has done it for all.
    with suppress(Halt, Unmet):
        has_shares(context, {live: ALL, idle: 0})
        return
    context.say(f"all traffic goes back to {live}")
    shift(context, {live: ALL, idle: 0}, f"{context.run}-back")


def play(context: Context, step: Action, **variables: str) -> Played:
    """Take a step of release.yaml on the hosts. Raises Halt where it fails."""
    done = run_playbook(context, "release.yaml", {"step": step, **variables})
    if done.failed:
        raise Halt(f"{step}: {done.failed}")
    return done


def run_playbook(  # noqa: PLR0913 - what a playbook is told
    context: Context,
    playbook: str,
    variables: Mapping[str, str],
    *,
    check: bool = False,
    limit: str = "",
    tags: str = "",
) -> Played:
    """Run a playbook on the run's environment, and tell of its tasks; a second one waits until the first is over."""
    from infra.local.layout import layout  # noqa: PLC0415 - as in told()
    from infra.local.lock import held  # noqa: PLC0415 - as above
    from runbooks.deploy.playing import Request, facts_of  # noqa: PLC0415 - as above
    from runbooks.deploy.playing import play as played  # noqa: PLC0415 - as above

    driver = context.environment.drivers.get("hosts")
    home = layout().home / "deploy"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    document = context.folder / "environment.json"
    context.environment.save(document)
    request = Request(
        playbook=playbook,
        document=str(document),
        variables=dict(variables),
        check=check,
        limit=limit,
        tags=tags,
        facts=facts_of(context.environment),
        network=driver.settings.get("network", "") if driver else "",
    )
    with told(), _in_turn(context, home / "playing.lock", held):
        return played(request, lambda task: context.say(f"  {playbook}: {task}"))


@contextmanager
def _in_turn(context: Context, path: Any, held: Any) -> Iterator[None]:  # noqa: ANN401 - imported by the caller
    """Wait for a playbook of a process that was killed: it is being ended, but may still be at work."""
    from infra.local.lock import HeldError  # noqa: PLC0415 - as in told()

    while True:
        try:
            with held(path, context.run):
                yield
                return
        except HeldError:
            if context.remaining() <= PAUSE:
                raise Halt(f"{path}: another playbook is at work; wait until it has ended") from None
            time.sleep(PAUSE)


def hosts(context: Context) -> dict[str, HostState]:
    """Return how all hosts of the API are. Raises Halt where one does not answer."""
    from runbooks.deploy.hosts import look  # noqa: PLC0415 - as in told()

    with told():
        found, lost = look(context.environment)
    if lost:
        raise Halt("; ".join(lost.values()))
    return found


def live_colour(context: Context) -> tuple[str, str]:
    """Return the colour that has all traffic, and the other one. Raises Halt where the traffic is split."""
    from runbooks.deploy.hosts import COLOURS  # noqa: PLC0415 - as in told()

    with told():
        shares = dict(switch(context).weights())
    live = [colour for colour, share in shares.items() if share == ALL]
    if len(live) != 1 or live[0] not in COLOURS:
        raise Halt(f"the traffic is split ({shares}); `simplicity deploy switch COLOUR` gives all of it to one")
    return live[0], next(colour for colour in COLOURS if colour != live[0])


def one_release(found: Mapping[str, HostState], colour: str, *, idle: bool = False) -> str:
    """Return the release that a colour has on all hosts, "" for none. Raises Halt where they differ.

    An `idle` colour may differ, as on a host that was added since: then there is nothing to return to.
    """
    releases = {state.releases[colour] for state in found.values()}
    if len(releases) > 1 and idle:
        return ""
    if len(releases) > 1:
        words = ", ".join(f"{name} has {state.releases[colour] or 'none'}" for name, state in sorted(found.items()))
        raise Halt(f"the hosts do not agree about {colour}: {words}; deploy a release anew")
    return releases.pop()


def await_ready(context: Context, colour: str, release: str) -> str:
    """Wait until every process of a colour takes requests as this release. Raises Halt."""
    from runbooks.deploy.smoke import readiness  # noqa: PLC0415 - as in told()

    ends = time.monotonic() + min(READY_SECONDS, context.remaining())
    while True:
        with told():
            addresses = [host.address for host in context.environment.hosts["api"]]
            lacking = [
                each for each in (readiness(context.environment, one, colour, release) for one in addresses) if each
            ]
        if not lacking:
            return f"{len(addresses)} processes of {colour} are ready as {release}"
        if time.monotonic() >= ends:
            raise Halt("; ".join(lacking))
        time.sleep(0.2)


def start_again(context: Context, colour: str, release: str) -> str:
    """Start a colour whose release is installed already, and wait for it: seconds, so no playbook."""
    from runbooks.deploy.hosts import unit  # noqa: PLC0415 - as in told()

    with told():
        unit(context.environment, "start", colour)
    return await_ready(context, colour, release)


def drained(context: Context, colour: str, seconds: float) -> str:
    """Wait until no request is at a colour any more, for so many seconds at the longest."""
    ends = time.monotonic() + min(seconds, context.remaining())
    while True:
        with told():
            busy = sum(_at_work(context, host.address, colour) for host in context.environment.hosts["balancer"])
        if not busy:
            return f"no request is at {colour}"
        if time.monotonic() >= ends:
            return f"{busy} requests are at {colour} still: they have the time that a process is given to stop"
        time.sleep(0.5)


def retired(context: Context, colour: str) -> str:
    """Stop a colour on all hosts once nobody asks it: seconds, so no playbook. Returns how it was drained."""
    from runbooks.deploy.hosts import unit  # noqa: PLC0415 - as in told()

    said = drained(context, colour, DRAIN_SECONDS)
    with told():
        unit(context.environment, "stop", colour)
    return said


def _at_work(context: Context, balancer: str, colour: str) -> int:
    """Return how many requests a balancer has at a colour; its own metrics are younger than Prometheus'."""
    from runbooks.deploy.asking import ask  # noqa: PLC0415 - as in told()

    text = ask(context.environment, f"https://{balancer}:{BALANCER_METRICS}/metrics").body.decode("utf-8", "replace")
    return sum(int(float(count)) for count in re.findall(_SESSIONS.format(colour=re.escape(colour)), text))


def observe(context: Context, *colours: str) -> None:
    """Let Prometheus ask the processes of these colours. Raises Halt where that cannot be said to it."""
    from runbooks.deploy.hosts import PORTS  # noqa: PLC0415 - as in told()
    from runbooks.drivers.remote import Remote, RemoteError, as_user  # noqa: PLC0415 - as above

    targets = [
        {
            "targets": [f"{host.address}:{PORTS[colour]}"],
            "labels": {"instance": f"{host.name}-{colour}", "colour": colour},
        }
        for colour in sorted(colours)
        for host in context.environment.hosts["api"]
    ]
    text = json.dumps(targets, indent=2) + "\n"
    with told():
        remote = Remote(context.environment)
        for host in remote.hosts("monitoring"):
            try:
                remote.run(host.name, as_user("root", "tee", f"{TARGETS}.new"), text)
                remote.run(host.name, as_user("root", "mv", "-f", f"{TARGETS}.new", TARGETS))
            except RemoteError as error:
                raise Halt(f"Prometheus cannot be told whom to ask: {error}") from None


def as_json(value: Any) -> Json:  # noqa: ANN401 - what is given is JSON already, by a type that does not say so
    """Return a value as the journal takes it."""
    found: Json = json.loads(json.dumps(value))
    return found
