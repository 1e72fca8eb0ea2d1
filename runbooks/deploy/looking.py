"""The diagnosis and the gates of a release: what is looked at before anything is touched."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runbooks.deploy.acting import hosts, live_colour, one_release, run_playbook, told
from runbooks.engine.model import Halt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runbooks.deploy.gates import Gate
    from runbooks.deploy.manifest import Manifest
    from runbooks.engine.model import Context

# What is compared with the hosts before a release.
REVIEW = "review.yaml"
# Of each role. That all of it runs is asked of the processes themselves.
CONFIGURE = "configure"
# What changes nothing needs not be done host by host.
AT_ONCE = {"hosts_at_once": "100%"}


def trusted(context: Context) -> Callable[[bytes, bytes], bool]:
    """Return what says whether bytes were signed by whom this environment believes."""
    from runbooks.deploy.keys import paths, trust  # noqa: PLC0415 - a page is shown without these packages

    with told():
        return trust(paths(context.environment)[1])


def release(context: Context) -> Manifest:
    """Return the manifest of the release that the run is about, its signature checked."""
    from runbooks.deploy.manifest import read  # noqa: PLC0415 - as in trusted()
    from runbooks.deploy.store import store  # noqa: PLC0415 - as above

    with told():
        return read(store().release(str(context.arguments["release"])), trusted(context))


def live_manifest(context: Context) -> Manifest:
    """Return the manifest of the release that clients reach now."""
    found = hosts(context)
    live, _ = live_colour(context)
    name = one_release(found, live)
    if not name:
        raise Halt(f"{live} has no release: install the first one by playbooks/indexer.yaml -e release=ID")
    with told():
        return next(iter(found.values())).manifest(name)


def all_gates(context: Context) -> list[Gate]:
    """Ask every gate, the slow one last, and tell of each."""
    from runbooks.deploy import freezing, gates  # noqa: PLC0415 - as in trusted()
    from runbooks.deploy.store import store  # noqa: PLC0415 - as above

    new, live, now = release(context), live_manifest(context), datetime.now(UTC)
    believes = trusted(context)

    def statement(name: str) -> Mapping[str, Any] | None:
        return store().statement(name, believes)

    driver = context.environment.drivers.get("deploy")
    after = str(context.arguments["after"]) or (driver.settings.get("after", "") if driver else "")
    with told():
        found = [
            gates.freeze(freezing.read(context.environment.name), now),
            gates.checks(new, statement),
            gates.promoted(new, after, statement),
            gates.migrations(live, new),
            _backup(context, now),
        ]
    if "configuration" not in waived(context):
        found.append(_configuration(context))
    told_of = gates.waived(found, waived(context), str(context.arguments["reason"]))
    for each in told_of:
        context.say(f"gate {each.sentence}")
    return told_of


def waived(context: Context) -> list[str]:
    """Return the gates that are passed over. Raises Halt where nobody says why."""
    names = [name for name in str(context.arguments["waive"]).split(",") if name]
    if names and not str(context.arguments["reason"]):
        raise Halt(f"say why {', '.join(names)} may be passed over: --reason TEXT")
    return names


def _backup(context: Context, now: datetime) -> Gate:
    from runbooks.deploy import gates  # noqa: PLC0415 - as in trusted()
    from runbooks.drivers.select import Drivers  # noqa: PLC0415 - as above

    try:
        engine = Drivers.for_environment(context.environment, context.folder / "operations").backup_engine
        return gates.backup(engine.backups(), now)
    except Exception as error:  # noqa: BLE001 - whatever keeps backups from being seen, they are not proven
        return gates.Gate("backup", passed=False, words=f"backups cannot be seen: {' '.join(str(error).split())[:300]}")


def _configuration(context: Context) -> Gate:
    from runbooks.deploy import gates  # noqa: PLC0415 - as in trusted()

    done = run_playbook(context, REVIEW, AT_ONCE, check=True, tags=CONFIGURE)
    if done.failed:
        return gates.Gate("configuration", passed=False, words=f"{REVIEW} --check: {done.failed}")
    return gates.configuration(done.changes, done.sentence, reviewed=context.arguments["reviewed"] == "yes")


def see_live(context: Context) -> str:
    """Say which colour and release clients reach."""
    found = hosts(context)
    live, idle = live_colour(context)
    now, before = one_release(found, live) or "no release", one_release(found, idle, idle=True) or "none"
    return f"{live} has all traffic, with {now}; {idle} has {before}"


def see_release(context: Context) -> str:
    """Say what the release is, if it may be used at all."""
    new = release(context)
    return f"{new.id}, made {new.made_at} from {new.commit[:12]}, schema {new.newest}, signed"
