"""Ask every tier of an environment how it is, all at once, in bounded time; what does not answer has a row too."""

from __future__ import annotations

import importlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from runbooks.deploy import asking
from runbooks.deploy.errors import DeployError
from runbooks.deploy.hosts import look, url
from runbooks.drivers.haproxy_switch import HaproxySwitch
from runbooks.drivers.operations import OperationStore
from runbooks.drivers.patroni_api import Patroni
from runbooks.drivers.protocols import Refusal
from runbooks.drivers.remote import Remote, RemoteError, as_user
from runbooks.drivers.select import Drivers
from runbooks.infrastructure import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from infra.environment import Environment, Host
    from runbooks.drivers.haproxy_switch import Reading
    from runbooks.infrastructure.rows import Row

_T = TypeVar("_T")
SECONDS = 10.0
SYNC_PORT = 9102
UNITS = {"balancer": ("haproxy", "keepalived"), "cache": ("valkey-server",)}
# Runs on every host, by its own Python.
_THERE = r"""
import json, os, subprocess, sys
units = json.loads(sys.argv[1])
def said(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, text=True).stdout
lines = said("systemctl", "list-units", "--failed", "--plain", "--no-legend").splitlines()
failed = [line.split()[0] for line in lines]
space = os.statvfs("/")
print(json.dumps({
    "failed": failed,
    "load": os.getloadavg()[0],
    "free": space.f_bavail * space.f_frsize,
    "units": dict(zip(units, said("systemctl", "is-active", *units).split())) if units else {},
    "addresses": [each["local"] for link in json.loads(said("ip", "-json", "-4", "address"))
                  for each in link["addr_info"]],
}))
"""
ERRORS = (RemoteError, Refusal, DeployError, ValueError, KeyError)


def see(environment: Environment, directory: Path) -> list[Row]:
    """Return the rows of all tiers. Raises Refusal where the environment cannot be asked."""
    if environment.place == "local":
        return rows.local_rows(Drivers.for_environment(environment, directory).service_control.services())
    if environment.place == "cloud":
        found: list[Row] = _cloud().see(environment, directory)
        return found
    Remote(environment)  # refuses where there is no way to the hosts
    hosts = {host.name: host for each in environment.hosts.values() for host in each}
    with ThreadPoolExecutor(len(hosts) + 6) as pool:
        of_hosts = pool.submit(_hosts, environment, hosts)
        others = [
            pool.submit(_tier, tier, ask, environment)
            for tier, ask in (("database", _database), ("api", _api), ("sync", _sync), ("monitoring", _monitoring))
        ]
        said, lost = of_hosts.result()
        database, api, sync, monitoring = (each.result() for each in others)
    host_rows = [
        rows.host_row(name, host.address, _roles(environment, name), said[name])
        if name in said
        else rows.unknown("hosts", name, lost[name])
        for name, host in hosts.items()
    ]
    return [
        *host_rows,
        *_balancers(environment, said, lost),
        *api,
        *sync,
        *database,
        *_cache(environment, said, lost),
        *monitoring,
    ]


def _cloud() -> Any:  # noqa: ANN401 - a module: its packages are of no use elsewhere
    """Import what looks at the cloud. Raises Refusal where its packages are missing."""
    try:
        return importlib.import_module("runbooks.infrastructure.cloud_looking")
    except ModuleNotFoundError as error:
        raise Refusal(
            f"it needs the package {error.name!r}; install the extra: pip install 'simplicity[cloud]'"
        ) from None


def _tier(name: str, ask: Callable[[Environment], list[Row]], environment: Environment) -> list[Row]:
    try:
        return ask(environment)
    except ERRORS as error:
        return [rows.unknown(name, "-", str(error))]


def _roles(environment: Environment, name: str) -> list[str]:
    return [role for role, there in environment.hosts.items() if name in {host.name for host in there}]


def _hosts(environment: Environment, hosts: Mapping[str, Host]) -> tuple[dict[str, Any], dict[str, str]]:
    remote = Remote(environment)

    def one(name: str) -> dict[str, Any]:
        units = [unit for role in _roles(environment, name) for unit in UNITS.get(role, ())]
        words = as_user("root", "python3", "-I", "-", json.dumps(units))
        found: dict[str, Any] = json.loads(remote.run(name, words, _THERE, within=SECONDS))
        return found

    return _each(hosts, one)


def _each(names: Iterable[str], one: Callable[[str], _T]) -> tuple[dict[str, _T], dict[str, str]]:
    """Ask all at once; return what was answered and why others did not."""
    found: dict[str, _T] = {}
    lost: dict[str, str] = {}

    def ask(name: str) -> None:
        try:
            found[name] = one(name)
        except ERRORS as error:
            lost[name] = str(error)

    order = list(names)
    with ThreadPoolExecutor(max(1, len(order))) as pool:
        list(pool.map(ask, order))
    return {name: found[name] for name in order if name in found}, lost


def _database(environment: Environment) -> list[Row]:
    return rows.database_rows(Patroni(environment).servers())


def _api(environment: Environment) -> list[Row]:
    states, lost = look(environment)
    ports = {
        f"{name}-{colour}": url(state.address, colour, "/health/ready")
        for name, state in states.items()
        for colour in rows.COLOURS
    }
    health, _ = _each(ports, lambda name: asking.ask(environment, ports[name]).status)
    releases = {name: dict(state.releases) for name, state in states.items()}
    unknown = [rows.unknown("api", name, why) for name, why in lost.items()]
    return [*rows.api_rows(releases, health, _readings(environment)), *unknown]


def _readings(environment: Environment) -> Mapping[str, Reading]:
    from runbooks.engine.wiring import runs_home  # noqa: PLC0415 - a store of operations that is never written

    try:
        return HaproxySwitch(environment, OperationStore(runs_home())).readings()[0]
    except Refusal:
        return {}


def _sync(environment: Environment) -> list[Row]:
    addresses = {host.name: host.address for host in environment.hosts.get("indexer", ())}
    texts, lost = _each(
        addresses,
        lambda name: asking.ask(environment, f"https://{addresses[name]}:{SYNC_PORT}/metrics").body.decode(),
    )
    return [*rows.sync_rows(texts), *(rows.unknown("sync", name, why) for name, why in lost.items())]


def _monitoring(environment: Environment) -> list[Row]:
    answer = asking.ask(environment, f"{environment.endpoints.prometheus}/api/v1/targets", {"state": "active"})
    return rows.target_rows(answer.json())


def _balancers(environment: Environment, said: Mapping[str, Any], lost: Mapping[str, str]) -> list[Row]:
    address = urlsplit(environment.endpoints.api).hostname or ""
    names = [host.name for host in environment.hosts.get("balancer", ())]
    units = {
        name: {unit: said[name]["units"].get(unit, "unknown") for unit in UNITS["balancer"]}
        for name in names
        if name in said
    }
    holders = [name for name in units if address in said[name]["addresses"]]
    return [
        *rows.balancer_rows(units, holders, address),
        *(rows.unknown("balancer", name, lost[name]) for name in names if name in lost),
    ]


def _cache(environment: Environment, said: Mapping[str, Any], lost: Mapping[str, str]) -> list[Row]:
    return [
        rows.unknown("cache", host.name, lost[host.name])
        if host.name in lost
        else rows.unit_row(
            "cache", host.name, {unit: said[host.name]["units"].get(unit, "unknown") for unit in UNITS["cache"]}
        )
        for host in environment.hosts.get("cache", ())
    ]
