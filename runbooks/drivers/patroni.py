"""Failover of the database by Patroni: a switchover in order, so that nothing acknowledged is lost."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbooks.drivers.operations import own
from runbooks.drivers.patroni_api import SYNCHRONOUS, Patroni
from runbooks.drivers.protocols import Refusal
from runbooks.drivers.remote import RemoteError

if TYPE_CHECKING:
    from infra.environment import Environment
    from runbooks.drivers.operations import OperationStore
    from runbooks.drivers.patroni_api import Server
    from runbooks.drivers.protocols import Json, Member, Operation

NAME, ACTION = "patroni", "switch"
# Patroni answers when it is done, after a few rounds of its loop.
TELL_SECONDS = 45.0
# The old leader has to come back as a follower; where it was not shut down cleanly it is rewound.
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class PatroniFailover:
    """Failover between the hosts of the role database."""

    environment: Environment
    store: OperationStore

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do: change the leader without losing what was acknowledged."""
        return frozenset({ACTION})

    def members(self) -> list[Member]:
        """Return the group as it is, the primary first. Raises Refusal where no host answers."""
        return [each.member for each in self._servers()]

    def switch(self, key: str, member: str) -> Operation:
        """Make another member the primary; refused where it would lose something, or there is no such member."""
        if self.store.find(key) is None:
            candidate(self._servers(), member)
        self.store.begin(key, driver=NAME, action=ACTION, target=member)
        return self.poll(key)

    def poll(self, key: str) -> Operation:
        """Go on with a switch; DONE when the new primary takes writes and the old one follows it."""
        operation = own(self.store.get(key), NAME)
        if operation.over:
            return operation
        try:
            there = Patroni(self.environment).servers()
        except RemoteError as error:
            return self._waits(operation, f"no database host answers: {error}")
        leader = next((each for each in there if each.leads), None)
        if leader is None:
            return self._waits(operation, "no server leads at this moment")
        if leader.name != operation.target:
            return self._tell(operation, leader)
        behind = [each.name for each in there if not each.well]
        if behind:
            return self._waits(operation, f"{leader.name} leads; waits for {', '.join(behind)}")
        return self.store.done(
            operation,
            detail=f"{leader.name} leads, on timeline {leader.timeline}; all others follow it",
            result={**operation.result, "leader": leader.name, "timeline": leader.timeline},
        )

    def _tell(self, operation: Operation, leader: Server) -> Operation:
        """Tell Patroni; again where a process died over it. It refuses who names a leader that leads no more."""
        moment = time.time()
        told: Any = operation.result.get("told")
        if told is not None and moment - told <= TELL_SECONDS:
            return self._waits(operation, f"{leader.name} still leads")
        noted: dict[str, Json] = {"since": moment, "was": leader.name, "timeline_before": leader.timeline}
        noted |= {**operation.result, "told": moment}
        operation = self.store.update(operation, detail=f"from {leader.name} to {operation.target}", result=noted)
        words = {"leader": leader.name, "candidate": operation.target}
        try:
            answer = Patroni(self.environment).call("POST", "/switchover", words, within=TELL_SECONDS)
        except RemoteError as error:
            return self._waits(operation, f"told, and not answered: {error}")
        if not answer.good:
            why = " ".join(answer.text.split())[:200]
            return self.store.failed(operation, detail=f"Patroni refuses: {why}", result=operation.result)
        return self.store.update(operation, detail="Patroni has switched over", result={})

    def _waits(self, operation: Operation, detail: str) -> Operation:
        since: Any = operation.result.get("since")
        if since is not None and time.time() - since > PATIENCE_SECONDS:
            return self.store.failed(
                operation,
                detail=f"not after {PATIENCE_SECONDS:.0f} s: {detail}; on a database host: patronictl list",
                result=operation.result,
            )
        return self.store.update(operation, detail=detail, result={})

    def _servers(self) -> list[Server]:
        try:
            return Patroni(self.environment).servers()
        except RemoteError as error:
            raise Refusal(str(error)) from None


def candidate(servers: list[Server], member: str) -> Server:
    """Return the server that can take over: `member`, or for "" the synchronous one. Raises Refusal with a reason.

    Only a synchronous standby is sure to have all that was acknowledged.
    """
    names = ", ".join(each.name for each in servers) or "none"
    found = [each for each in servers if (each.name == member if member else each.role in SYNCHRONOUS and each.well)]
    if member and not found:
        raise Refusal(f"the database has no member {member[:60]!r}; it has {names}")
    if not found:
        raise Refusal(f"no synchronous standby is there to take over; the members are {names}")
    chosen = found[0]
    if chosen.leads:
        raise Refusal(f"{chosen.name} is the primary already")
    if chosen.role not in SYNCHRONOUS or not chosen.well:
        raise Refusal(
            f"{chosen.name} is {chosen.role}, {chosen.state}: only a synchronous standby that streams has all that"
            " was acknowledged"
        )
    return chosen
