"""What the steps of update-config do: read the values, show the difference, roll out host by host, and back."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra import overrides
from infra.overrides import Overrides
from runbooks.deploy import acting
from runbooks.engine.model import Halt, Unmet
from runbooks.infrastructure import changes, hosts
from runbooks.infrastructure.asking import drivers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbooks.engine.model import Context, Json

PLAYBOOK = "indexer.yaml"
READY_SECONDS, PAUSE = 60.0, 0.5
SHOWN = 40


def given(text: str) -> Json:
    """Read the argument: what may not be changed is refused before a run begins. Raises ValueError."""
    found = changes.parse(text)
    changes.sorted_out(found)
    return dict(found)


def _file(context: Context) -> Path:
    driver = context.environment.drivers.get("overrides")
    if driver is None:
        raise Halt(
            f"the settings of {context.environment.name} are not changed this way: a local envelope's are those of its"
            " components (infra/local/components); change them there, then `simplicity restart api`"
        )
    return Path(driver.settings["file"])


def _wanted(context: Context) -> changes.Changes:
    given: Any = context.arguments["changes"]
    return changes.sorted_out(given)


def _fact(context: Context, name: str) -> Overrides:
    if name not in context.facts:
        raise Unmet("nothing is checked yet")
    found: Any = context.facts[name]
    return Overrides(dict(found["service"]), dict(found["database"]))


def see(context: Context) -> str:
    """Say what is set otherwise than it comes."""
    found = overrides.read(_file(context))
    lines = changes.differences(Overrides(), found)
    return "; ".join(lines) or "nothing is set otherwise than it comes"


def check(context: Context) -> Mapping[str, Json]:
    """Let the service's own types and PostgreSQL itself read the values, before anything is changed."""
    from runbooks.drivers.patroni_parameters import ParameterError, Parameters  # noqa: PLC0415 - a page needs it not
    from runbooks.drivers.remote import RemoteError  # noqa: PLC0415 - as above

    before, wanted = overrides.read(_file(context)), _wanted(context)
    after = changes.changed(before, wanted)
    lines = changes.differences(before, after)
    if not lines:
        raise Halt("all of it is set so already")
    try:
        Parameters(context.environment).check({name: value for name, value in wanted.database.items() if value})
    except (ParameterError, RemoteError) as error:
        raise Halt(str(error)) from None
    live, _ = acting.live_colour(context)
    release = acting.one_release(acting.hosts(context), live)
    return {"before": asdict(before), "after": asdict(after), "lines": lines, "live": live, "release": release}


def is_checked(context: Context) -> str:
    """Say what will be another value. Raises Unmet."""
    _fact(context, "after")
    lines: Any = context.facts["lines"]
    return "; ".join(lines)


def compare(context: Context) -> Mapping[str, Json]:
    """Show what the playbook would change, from a file of the run's own: nothing is written where others read it."""
    before, after = _fact(context, "before"), _fact(context, "after")
    if before.service == after.service:
        return {"differences": {}}
    candidate = context.folder / "overrides.yaml"
    overrides.write(candidate, after)
    driver = context.environment.drivers["overrides"].model_copy(update={"settings": {"file": str(candidate)}})
    there = context.environment.model_copy(update={"drivers": {**context.environment.drivers, "overrides": driver}})
    seen = acting.run_playbook(hosts.at(context, there), PLAYBOOK, {}, check=True)
    if seen.failed:
        raise Halt(f"the playbook cannot be carried out: {seen.failed}")
    found = {host: list(lines) for host, lines in seen.differences.items()}
    for host, lines in found.items():
        for line in lines[:SHOWN]:
            context.say(f"  {host}  {line}")
    return {"differences": acting.as_json(found)}


def is_compared(context: Context) -> str:
    """Say how many lines are other ones. Raises Unmet."""
    if "differences" not in context.facts:
        raise Unmet("nothing is compared yet")
    found: Any = context.facts["differences"]
    return (
        ", ".join(f"{host}: {len(lines)} lines" for host, lines in found.items()) or "no file of a host is another one"
    )


def write(context: Context) -> None:
    """Write the settings where playbooks read them, and into the audit trail."""
    before, after = _fact(context, "before"), _fact(context, "after")
    overrides.write(_file(context), after)
    names = sorted({each.partition(":")[0] for each in changes.differences(before, after)})
    context.record("config.update", ", ".join(names)[:200], before=_shown(before, names), after=_shown(after, names))


def _shown(which: Overrides, names: list[str]) -> Json:
    return {name: value for name, value in {**which.service, **which.database}.items() if name in names}


def is_written(context: Context) -> str:
    """Say where they are. Raises Unmet."""
    if overrides.read(_file(context)) != _fact(context, "after"):
        raise Unmet(f"{_file(context)} is another one")
    return str(_file(context))


def write_back(context: Context) -> None:
    """Write the former settings."""
    overrides.write(_file(context), _fact(context, "before"))


def service(context: Context) -> Mapping[str, Json]:
    """Roll out on one host after the other: the next one's turn comes when this one serves again."""
    before, after = _fact(context, "before"), _fact(context, "after")
    if before.service == after.service:
        return {"rolled": []}
    return {"rolled": _roll(context)}


def _roll(context: Context) -> list[str]:
    done = []
    for host in context.environment.hosts["api"]:
        context.say(hosts.drain(context, host.name))
        played = acting.run_playbook(context, PLAYBOOK, {}, limit=host.name)
        if played.failed:
            raise Halt(played.failed)
        _await(context, host.address)
        hosts.undrain(context, host.name)
        _until_served(context, host.name)
        context.say(f"{host.name} serves with the settings")
        done.append(host.name)
    return done


def _await(context: Context, address: str) -> None:
    """Wait until a host's process answers reads as the release that is live. Raises Halt."""
    from runbooks.deploy.errors import DeployError  # noqa: PLC0415 - a page needs it not
    from runbooks.deploy.smoke import readiness, smoke  # noqa: PLC0415 - as above

    live, release = str(context.facts["live"]), str(context.facts["release"])
    ends = time.monotonic() + min(READY_SECONDS, context.remaining())
    while True:
        lacking = readiness(context.environment, address, live, release)
        if not lacking:
            break
        if time.monotonic() > ends:
            raise Halt(lacking)
        time.sleep(PAUSE)
    try:
        smoke(context.environment, address, live, release, live)
    except DeployError as error:
        raise Halt(f"{address} is ready, and does not answer as it did: {error}") from None


def _until_served(context: Context, host: str) -> None:
    ends = time.monotonic() + min(READY_SECONDS, context.remaining())
    while True:
        try:
            hosts.serve(context, str(context.facts["live"]), [host])
        except Unmet as error:
            if time.monotonic() > ends:
                raise Halt(str(error)) from None
        else:
            return
        time.sleep(PAUSE)


def serves(context: Context) -> str:
    """Say that every host serves by processes that have the settings."""
    after = _fact(context, "after")
    served = hosts.serve(context, str(context.facts["live"]))
    for host in context.environment.hosts["api"]:
        wrong = _otherwise(context, host.name, after.service)
        if wrong:
            raise Unmet(f"{host.name}: {wrong} is another one in the process that runs")
    return served


def _otherwise(context: Context, host: str, wanted: Mapping[str, str]) -> str:
    """Return the names of settings that a host's live process has otherwise. Raises Unmet where it cannot be asked."""
    from runbooks.drivers.remote import Remote, RemoteError, as_user  # noqa: PLC0415 - a page needs it not

    unit = f"simplicity-api@{context.facts['live']}.service"
    words = as_user("root", "python3", "-I", "-", unit, json.dumps(dict(wanted)))
    try:
        return Remote(context.environment).run(host, words, _ENVIRONMENT).strip()
    except RemoteError as error:
        raise Unmet(str(error)) from None


# Runs on a host: names of settings that a unit's process has otherwise; their values stay there.
_ENVIRONMENT = r"""
import json, subprocess, sys
show = ["systemctl", "show", "--property=MainPID", "--value", sys.argv[1]]
said = subprocess.run(show, stdout=subprocess.PIPE, text=True)
with open(f"/proc/{said.stdout.strip()}/environ") as file:
    there = dict(each.partition("=")[::2] for each in file.read().split("\0") if each)
print(", ".join(name for name, value in json.loads(sys.argv[2]).items() if there.get(name) != value))
"""


def roll_back(context: Context) -> None:
    """Roll the former settings out, where those of the service were changed."""
    before, after = _fact(context, "before"), _fact(context, "after")
    if before.service != after.service:
        overrides.write(_file(context), before)
        _roll(context)


def database(context: Context) -> Mapping[str, Json]:
    """Share the parameters that are other ones, and put them in force."""
    before, after = _fact(context, "before"), _fact(context, "after")
    return {"shared": acting.as_json(_share(context, before, after))}


def _share(context: Context, before: Overrides, after: Overrides) -> Mapping[str, str | None]:
    """Share parameters and put them in force: a server that has to be restarted is a replica then."""
    from runbooks.drivers.operations import wait  # noqa: PLC0415 - a page needs it not
    from runbooks.drivers.patroni_parameters import ParameterError, Parameters  # noqa: PLC0415 - as above
    from runbooks.drivers.protocols import Phase, Refusal  # noqa: PLC0415 - as above
    from runbooks.drivers.remote import RemoteError  # noqa: PLC0415 - as above

    wanted = changes.patch(before.database, after.database)
    if not wanted:
        return {}
    failover, parameters = drivers(context).failover, Parameters(context.environment)

    def switch(member: str) -> None:
        key = f"{context.key}-{member}-{time.time_ns() // 1_000_000:x}"[-100:]
        failover.switch(key, member)
        done = wait(failover, key, context.remaining())
        if done.phase is not Phase.DONE:
            raise ParameterError(done.detail)

    try:
        parameters.share(wanted)
        parameters.settle(switch, context.say)
    except (ParameterError, RemoteError, Refusal) as error:
        raise Halt(str(error)) from None
    return wanted


def in_force(context: Context) -> str:
    """Say what each server has by now. Raises Unmet."""
    from runbooks.drivers.patroni_api import Patroni  # noqa: PLC0415 - a page needs it not
    from runbooks.drivers.patroni_parameters import Parameters  # noqa: PLC0415 - as above

    if "shared" not in context.facts:
        raise Unmet("nothing is shared yet")
    shared: Any = context.facts["shared"]
    if not shared:
        return "no parameter is another one"
    waiting = [each.name for each in Patroni(context.environment).servers() if each.pending_restart or not each.well]
    if waiting:
        raise Unmet(f"{', '.join(waiting)} does not have them yet")
    found = Parameters(context.environment).values(list(shared))
    if len({json.dumps(each, sort_keys=True) for each in found.values()}) > 1:
        raise Unmet(f"the servers differ: {found}")
    words = ", ".join(f"{name} = {value}" for name, value in next(iter(found.values())).items())
    return f"{', '.join(found)}: {words}"


def share_back(context: Context) -> None:
    """Share the former parameters."""
    _share(context, _fact(context, "after"), _fact(context, "before"))
