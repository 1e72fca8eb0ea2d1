"""Take a host of the API out of the balancers' choice, and back: what it is at it finishes, nothing new is sent to it.

It is not a weight that is changed, so the shares of the colours stay what they are.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from runbooks.drivers.haproxy_switch import BACKEND, SOCKET
from runbooks.drivers.remote import Remote, RemoteError, as_user

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.environment import Environment

State: TypeAlias = Literal["drain", "ready"]
SECONDS = 15.0
# Runs on the balancer: nothing but Python's standard library is there.
_THERE = r"""
import json, re, socket, sys
path, backend, host, state = json.loads(sys.argv[1])
def tell(line):
    with socket.socket(socket.AF_UNIX) as talk:
        talk.settimeout(5)
        talk.connect(path)
        talk.sendall(line.encode() + b"\n")
        said = b""
        while part := talk.recv(65536):
            said += part
    return said.decode("utf-8", "replace").strip()
lines = tell(f"show stat {backend} 4 -1").splitlines()
names = lines[0].lstrip("# ").split(",")
rows = [dict(zip(names, line.split(","))) for line in lines[1:] if line]
own = [row for row in rows if row["pxname"] == backend
       and re.fullmatch(re.escape(host) + "-(blue|green)", row["svname"])]
for row in own:
    if state:
        said = tell(f"set server {backend}/{row['svname']} state {state}")
        if said:
            sys.exit(f"{row['svname']}: {said}")
print(json.dumps({row["svname"]: int(row["scur"] or 0) for row in own}))
"""


@dataclass(frozen=True, slots=True)
class Drained:
    """What the balancers say of a host: the requests it is at, by balancer; and why others say nothing."""

    at_work: Mapping[str, int]
    lost: Mapping[str, str]

    @property
    def busy(self) -> int:
        """Return how many requests it is at."""
        return sum(self.at_work.values())


def drain(environment: Environment, host: str) -> Drained:
    """Let no balancer send anything new to a host; say what it is at. Again, it only says it."""
    return _on_all(environment, host, "drain")


def undrain(environment: Environment, host: str) -> Drained:
    """Let the balancers send to a host again, once its processes are ready."""
    return _on_all(environment, host, "ready")


def _on_all(environment: Environment, host: str, state: State) -> Drained:
    remote = Remote(environment)
    words = json.dumps([SOCKET, BACKEND, host, state])
    at_work: dict[str, int] = {}
    lost: dict[str, str] = {}

    def one(balancer: str) -> None:
        try:
            said = remote.run(balancer, as_user("root", "python3", "-I", "-", words), _THERE, within=SECONDS)
            at_work[balancer] = sum(json.loads(said).values())
        except (RemoteError, ValueError) as error:
            lost[balancer] = str(error)

    names = [each.name for each in remote.hosts("balancer")]
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(one, names))
    return Drained(at_work, lost)
