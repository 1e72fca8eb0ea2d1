"""The password of the cloud's cache: ElastiCache is told what the secret is, since a program that did it would keep it.

It is told in two steps. From the first on the former password counts beside the new one, from the second on only the
new one. Who is connected stays so.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbooks.drivers.aws import GoneError
from runbooks.drivers.aws_operating import Seen, Way, go_on
from runbooks.drivers.operations import wait
from runbooks.drivers.protocols import Phase, Refusal

if TYPE_CHECKING:
    from runbooks.drivers.aws import Aws
    from runbooks.drivers.aws_secrets import SecretsManagerStore
    from runbooks.drivers.protocols import Operation

NAME, ACTION = "elasticache", "password"
SECRET = "cache_password"  # noqa: S105 # nosec B105 - the secret's name
# All that AWS takes of one; source: the reference of ModifyReplicationGroup, AuthToken.
FORM = re.compile(r"[A-Za-z0-9!&#$^<>-]{16,128}")
ROTATE, SET = "ROTATE", "SET"
# Each step is a change of the group, which takes AWS some minutes.
SECONDS = 3_600.0


@dataclass(frozen=True, slots=True)
class CachePassword:
    """Puts the secret in force at the cache; holds it only while it is told."""

    secrets: SecretsManagerStore

    @property
    def aws(self) -> Aws:
        """Where it is asked."""
        return self.secrets.aws

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do: replace the cache's password."""
        return frozenset({ACTION})

    def is_in_force(self) -> bool:
        """Whether the cache asks for the secret, by what is recorded here; it tells nobody which one it takes."""
        if not self._group().get("AuthTokenEnabled"):
            return False
        # A secret that was written after the cache was told, or a process that was killed in between.
        of_it = [each for each in self.secrets.store.all() if each.target == SECRET]
        return not of_it or (of_it[-1].driver, of_it[-1].phase) == (NAME, Phase.DONE)

    def put_in_force(self, key: str) -> Operation:
        """Tell the cache the secret as it is; the same key goes on with what a killed process has begun."""
        digest = _digest(self.secrets.read(SECRET))
        self.secrets.store.begin(key, driver=NAME, action=ACTION, target=SECRET, arguments={"sha256": digest})
        return self.poll(key)

    def poll(self, key: str) -> Operation:
        """Go on with it; DONE when the cache takes the new password alone."""
        hint = "see the cache in AWS; `simplicity infrastructure status`"
        way = Way(look=self._look, patience=SECONDS, hint=hint)
        return go_on(self.secrets.store, NAME, key, way, pause=self.aws.pause)

    def _look(self, operation: Operation) -> Seen:
        group = self._group()
        pending = group.get("PendingModifiedValues") or {}
        if group.get("Status") != "available" or pending.get("AuthTokenStatus"):
            return Seen("the cache is being changed")
        told = operation.result.get("told")
        if told == SET:
            return Seen("the cache takes the new password alone", over=True)
        strategy = SET if told == ROTATE else ROTATE
        value = self.secrets.read(SECRET)
        if _digest(value) != operation.arguments["sha256"]:
            return Seen(f"{SECRET} is another one by now: fill secrets again", failed=True)
        self.aws.call(
            "elasticache",
            "modify_replication_group",
            ReplicationGroupId=group["ReplicationGroupId"],
            AuthToken=value,
            AuthTokenUpdateStrategy=strategy,
            ApplyImmediately=True,
        )
        return Seen("the cache learns the new password", {"told": strategy})

    def _group(self) -> dict[str, Any]:
        name = self.aws.name("cache")
        try:
            said = self.aws.call("elasticache", "describe_replication_groups", ReplicationGroupId=name)
        except GoneError:
            raise Refusal(f"the cache {name} is not in AWS; `pulumi up` makes it") from None
        found: dict[str, Any] = said["ReplicationGroups"][0]
        return found


def settle(secrets: SecretsManagerStore, key: str) -> None:
    """Put the secret in force at the cache where it is not, and wait for it. Raises Refusal where that does not end.

    What another process has left undone is gone on with.
    """
    cache = CachePassword(secrets)
    if cache.is_in_force():
        return
    digest = _digest(secrets.read(SECRET))
    begun = [
        each
        for each in secrets.store.all()
        if (each.driver, each.over, each.arguments.get("sha256")) == (NAME, False, digest)
    ]
    key = begun[-1].key if begun else key
    cache.put_in_force(key)
    done = wait(cache, key, SECONDS)
    if done.phase is not Phase.DONE:
        raise Refusal(f"the cache does not have its password: {done.detail}; fill secrets again, or --rotate {SECRET}")


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
