"""What runs where, asked of the hosts: nothing of it is kept on the control node, where it would grow old."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from runbooks.deploy.errors import DeployError
from runbooks.deploy.manifest import Manifest, parse
from runbooks.drivers.protocols import Refusal
from runbooks.drivers.remote import Remote, RemoteError, as_user

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from infra.environment import Environment

Colour: TypeAlias = Literal["blue", "green"]
COLOURS: tuple[Colour, Colour] = ("blue", "green")
PORTS: dict[str, int] = {"blue": 8441, "green": 8442}
HOME = "/opt/simplicity"
ROLE = "api"
SECONDS = 20.0
# Runs on a host, by its own Python.
_THERE = r"""
import json, os, subprocess
home = "/opt/simplicity"
def named(link):
    try:
        return os.path.basename(os.readlink(os.path.join(home, link)).rstrip("/"))
    except OSError:
        return ""
def text(release):
    try:
        with open(os.path.join(home, "releases", release, "manifest.json")) as file:
            return file.read()
    except OSError:
        return ""
units = ["simplicity-api@blue", "simplicity-api@green", "simplicity-sync"]
said = subprocess.run(["systemctl", "is-active", *units], stdout=subprocess.PIPE, text=True).stdout.split()
links = {link: named(link) for link in ("blue", "green", "current")}
space = os.statvfs(home if os.path.isdir(home) else "/")
print(json.dumps({
    "links": links,
    "units": dict(zip(units, said)),
    "manifests": {name: text(name) for name in set(links.values()) if name},
    "free": space.f_bavail * space.f_frsize,
}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """A host of the API: the release of each colour and of sync ("" for none), what runs, free bytes of its disk."""

    name: str
    address: str
    releases: Mapping[str, str]
    active: Mapping[str, bool]
    current: str
    sync: bool
    free: int
    manifests: Mapping[str, str] = field(default_factory=dict)

    def manifest(self, release: str) -> Manifest:
        """Return the manifest that lies with a release there. Raises DeployError."""
        return parse(self.manifests.get(release, ""), f"{self.name}: {release}")


def url(address: str, colour: str, path: str) -> str:
    """Return the address of one process of the API."""
    return f"https://{address}:{PORTS[colour]}{path}"


def look(environment: Environment) -> tuple[dict[str, HostState], dict[str, str]]:
    """Return how each host of the API is, and why others are not known. Raises DeployError where there are none."""
    return _on_all(environment, _seen)


def _seen(remote: Remote, name: str, address: str) -> HostState:
    said: Any = json.loads(remote.run(name, as_user("root", "python3", "-I", "-"), _THERE, within=SECONDS))
    return HostState(
        name=name,
        address=address,
        releases={colour: said["links"][colour] for colour in COLOURS},
        active={colour: said["units"].get(f"simplicity-api@{colour}") == "active" for colour in COLOURS},
        current=said["links"]["current"],
        sync=said["units"].get("simplicity-sync") == "active",
        free=said["free"],
        manifests=said["manifests"],
    )


def unit(environment: Environment, act: Literal["start", "stop"], colour: str) -> None:
    """Start or stop the processes of a colour on all hosts at once, and for the next boot; those that answer are done.

    Raises DeployError where one does not.
    """
    what = {"start": "enable", "stop": "disable"}[act]
    run(environment, ("systemctl", what, "--now", f"simplicity-api@{colour}"))


def point(environment: Environment, colour: str, release: str) -> None:
    """Let a colour name a release again, or none. Raises DeployError."""
    link = f"{HOME}/{colour}"
    if release:
        run(environment, ("ln", "-sfnT", f"releases/{release}", f"{link}.new"))
        run(environment, ("mv", "-fT", f"{link}.new", link))
    else:
        run(environment, ("rm", "-f", link))


def run(environment: Environment, argv: Sequence[str], within: float = 60.0) -> None:
    """Run a command as root on all hosts of the API. Raises DeployError, after all others have done it."""

    def one(remote: Remote, name: str, _: str) -> str:
        return remote.run(name, as_user("root", *argv), within=within)

    _, lost = _on_all(environment, one)
    if lost:
        raise DeployError("; ".join(lost.values()))


def _on_all(environment: Environment, what: Callable[[Remote, str, str], Any]) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        remote = Remote(environment)
        hosts = remote.hosts(ROLE)
    except Refusal as error:
        raise DeployError(str(error)) from None
    lost: dict[str, str] = {}

    def one(name: str, address: str) -> Any:  # noqa: ANN401 - whatever `what` returns
        try:
            return what(remote, name, address)
        except (RemoteError, ValueError, KeyError) as error:
            lost[name] = str(error)
            return None

    with ThreadPoolExecutor(len(hosts)) as pool:
        said = dict(zip([host.name for host in hosts], pool.map(lambda h: one(h.name, h.address), hosts), strict=True))
    return {name: each for name, each in said.items() if name not in lost}, lost
