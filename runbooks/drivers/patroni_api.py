"""What Patroni's servers say of their cluster, and what they are told: by its REST interface, from a database's host.

To ask is free there; to change something takes the certificate of a host, which never leaves it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from runbooks.drivers.protocols import Member
from runbooks.drivers.remote import Remote, RemoteError, as_user

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.environment import Environment

ROLE, PORT = "database", 8008
LEADERS = frozenset({"leader", "standby_leader", "primary", "master"})
SYNCHRONOUS = frozenset({"sync_standby", "quorum_standby"})
FOLLOWS, LEADS = "streaming", "running"
# Runs on a database's host, by its own Python; an answer with an error's status is an answer.
_THERE = r"""
import json, ssl, sys, urllib.error, urllib.request
method, url, body, seconds = json.loads(sys.argv[1])
tls = "/etc/simplicity/tls/"
context = ssl.create_default_context(cafile=tls + "ca.pem")
context.load_cert_chain(tls + "host.pem", tls + "host.key")
data = None if body is None else json.dumps(body).encode()
request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
try:
    with urllib.request.urlopen(request, timeout=seconds, context=context) as answer:
        status, text = answer.status, answer.read()
except urllib.error.HTTPError as error:
    status, text = error.code, error.read()
except OSError as error:
    sys.exit(f"{url}: {getattr(error, 'reason', error)}")
print(json.dumps([status, text.decode("utf-8", "replace")]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server as Patroni knows it; `lag` is in bytes of WAL, None where nobody knows."""

    name: str
    role: str
    state: str
    timeline: int | None
    lag: int | None
    pending_restart: bool = False

    @property
    def leads(self) -> bool:
        """Whether it holds the leader's lock."""
        return self.role in LEADERS

    @property
    def well(self) -> bool:
        """Whether it takes writes, or receives them as they are made."""
        return self.state == (LEADS if self.leads else FOLLOWS)

    @property
    def member(self) -> Member:
        """The same, as every driver says it."""
        role: Literal["primary", "replica"] = "primary" if self.leads else "replica"
        return Member(name=self.name, role=role, lag=0 if self.leads else self.lag)


@dataclass(frozen=True, slots=True)
class Answer:
    """What Patroni answered."""

    status: int
    text: str

    @property
    def good(self) -> bool:
        """Whether it did what it was asked."""
        return self.status < 300  # noqa: PLR2004 - HTTP's limit

    def json(self) -> Any:  # noqa: ANN401 - each path answers its own shape
        """Return the body as JSON. Raises RemoteError."""
        try:
            return json.loads(self.text)
        except ValueError:
            raise RemoteError(f"Patroni answers {self.status} with what is no JSON") from None


@dataclass(frozen=True, slots=True)
class Patroni:
    """Patroni of an environment; `first` is the host that is asked first, any other one where it does not answer."""

    environment: Environment

    def servers(self) -> list[Server]:
        """Return the cluster as it is, the leader first. Raises RemoteError where no host answers."""
        return servers(self.call("GET", "/cluster").json())

    def config(self) -> dict[str, Any]:
        """Return the settings that all servers share. Raises RemoteError."""
        found: dict[str, Any] = self.call("GET", "/config").json()
        return found

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, of: str = "", within: float = 10
    ) -> Answer:
        """Ask the server `of`, or any one that answers. Raises RemoteError where none does."""
        remote = Remote(self.environment)
        there = [host for host in remote.hosts(ROLE) if of in {"", host.name}]
        if not there:
            raise RemoteError(f"there is no database host {of}")
        why: RemoteError | None = None
        for host in there:
            words = json.dumps([method, f"https://{host.address}:{PORT}{path}", body, within])
            try:
                said = remote.run(host.name, as_user("root", "python3", "-I", "-", words), _THERE, within=within + 5)
                status, text = json.loads(said)
                return Answer(status, text)
            except RemoteError as error:
                why = error
        raise why or RemoteError("no database host answers")


def servers(said: Mapping[str, Any]) -> list[Server]:
    """Return the servers in Patroni's answer on its cluster, the leader first."""
    found = [
        Server(
            name=each["name"],
            role=each["role"],
            state=each.get("state", "unknown"),
            timeline=each.get("timeline"),
            lag=each["lag"] if isinstance(each.get("lag"), int) else None,
            pending_restart=bool(each.get("pending_restart")),
        )
        for each in said.get("members", ())
    ]
    return sorted(found, key=lambda each: (not each.leads, each.name))
