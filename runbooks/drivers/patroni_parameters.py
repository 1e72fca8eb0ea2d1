"""PostgreSQL's parameters on all servers: checked by the server itself, shared by Patroni, in force in turn."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbooks.drivers.patroni_api import ROLE, SYNCHRONOUS, Patroni, Server
from runbooks.drivers.remote import Remote, RemoteError, as_user

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from infra.environment import Environment

BIN, DATA, SOCKET = "/usr/lib/postgresql/17/bin", "/var/lib/postgresql/17/main", "/run/postgresql"
# Patroni's loop: after two of them each server has read what is shared, and says whether it waits for a restart.
ROUNDS_SECONDS = 11.0
RESTART_SECONDS = 90.0
PAUSE = 1.0
_VALUES = """
    SELECT coalesce(json_object_agg(name, current_setting(name)), '{}')
    FROM pg_settings WHERE name IN (SELECT json_array_elements_text(:'names'));
"""


class ParameterError(Exception):
    """What PostgreSQL does not take, or does not come up with: one line."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The shared parameters of an environment's database."""

    environment: Environment

    def check(self, wanted: Mapping[str, str]) -> None:
        """Let the server itself read each value, without putting it in force. Raises ParameterError and RemoteError."""
        host = Remote(self.environment).hosts(ROLE)[0].name
        for name, value in wanted.items():
            words = (f"{BIN}/postgres", "-D", DATA, "-C", name, "-c", f"{name}={value}")
            try:
                Remote(self.environment).run(host, as_user("postgres", *words), within=20)
            except RemoteError as error:
                said = str(error).partition("FATAL:")[2].strip()
                if not said:
                    raise
                raise ParameterError(f"{name}: {said}") from None

    def shared(self) -> dict[str, Any]:
        """Return the parameters that Patroni shares. Raises RemoteError."""
        found: dict[str, Any] = Patroni(self.environment).config().get("postgresql", {}).get("parameters", {})
        return found

    def share(self, changes: Mapping[str, Any]) -> None:
        """Share other values; None takes one away. Raises RemoteError and ParameterError."""
        answer = Patroni(self.environment).call("PATCH", "/config", {"postgresql": {"parameters": dict(changes)}})
        if not answer.good:
            raise ParameterError(f"Patroni refuses: {' '.join(answer.text.split())[:200]}")

    def settle(self, switch: Callable[[str], None], tell: Callable[[str], None]) -> list[Server]:
        """Wait until all have read what is shared, and restart those that need it, one at a time: replicas first.

        `switch` makes a server the leader, so that the old one is restarted as a replica. Raises ParameterError where a
        server does not come up again, and RemoteError.
        """
        time.sleep(ROUNDS_SECONDS)
        restarted: set[tuple[str, str]] = set()
        while True:
            servers = Patroni(self.environment).servers()
            leader = next((each for each in servers if each.leads), None)
            step = following(servers, restarted)
            if step is None or leader is None:
                return self._well(tell)
            if step.leads and any(each.pending_restart for each in servers if not each.leads):
                # A value becomes lower: no replica may have less than its primary, so that one has it first.
                if (step.name, step.name) in restarted:
                    raise ParameterError(f"{step.name} waits for a restart again, and has just had one")
                restarted = {(step.name, step.name)}
                self._restart(step.name, tell)
                time.sleep(ROUNDS_SECONDS)
            elif step.leads:
                other = next((each.name for each in servers if each.role in SYNCHRONOUS and each.well), None)
                if other is None:
                    raise ParameterError(f"{step.name} has to be restarted, and nobody is there to take over")
                tell(f"{other} takes over, so that {step.name} can be restarted")
                switch(other)
            else:
                restarted.add((step.name, leader.name))
                self._restart(step.name, tell)

    def values(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return what is in force, by host. Raises RemoteError."""
        remote, wanted = Remote(self.environment), json.dumps(list(names))
        words = ("psql", "-h", SOCKET, "-d", "postgres", "-X", "-At", "-v", f"names={wanted}")
        return {
            host.name: json.loads(remote.run(host.name, as_user("postgres", *words), _VALUES))
            for host in remote.hosts(ROLE)
        }

    def _restart(self, name: str, tell: Callable[[str], None]) -> None:
        tell(f"{name} is restarted")
        answer = Patroni(self.environment).call(
            "POST", "/restart", {"timeout": f"{RESTART_SECONDS:.0f}s"}, of=name, within=RESTART_SECONDS
        )
        if not answer.good:
            raise ParameterError(f"{name} does not come up: {' '.join(answer.text.split())[:200]}")
        self._well(tell)

    def _well(self, tell: Callable[[str], None]) -> list[Server]:
        ends, told = time.monotonic() + RESTART_SECONDS, False
        while True:
            servers = Patroni(self.environment).servers()
            bad = [f"{each.name} is {each.state}" for each in servers if not each.well]
            if not bad and not any(each.leads for each in servers):
                bad = ["nobody leads"]
            if not bad and not any(each.role in SYNCHRONOUS for each in servers):
                bad = ["no standby is synchronous yet"]  # Patroni finds that in its next round
            if not bad:
                return servers
            if time.monotonic() > ends:
                raise ParameterError("; ".join(bad))
            if not told:
                tell(f"waits: {'; '.join(bad)}")
                told = True
            time.sleep(PAUSE)


def following(servers: Sequence[Server], restarted: Collection[tuple[str, str]]) -> Server | None:
    """Return who is to be restarted next, None when nobody is; the leader last, and nobody twice under one leader.

    `restarted` has servers and who led then: where a value becomes lower a replica waits until the leader has it.
    """
    leader = next((each.name for each in servers if each.leads), "")
    waiting = [each for each in servers if each.pending_restart]
    replicas = [each for each in waiting if not each.leads and (each.name, leader) not in restarted]
    return next(iter([*replicas, *(each for each in waiting if each.leads)]), None)
