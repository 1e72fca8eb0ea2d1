"""The cloud's secrets: Secrets Manager, under the names that the environment document gives them.

The cloud program makes them empty; they are filled here, by values that nobody has seen.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.local.layout import write_private
from runbooks.drivers import aws_cache
from runbooks.drivers.aws import Aws, GoneError
from runbooks.drivers.operations import own
from runbooks.drivers.protocols import Refusal

if TYPE_CHECKING:
    from pathlib import Path

    from infra.environment import Environment
    from runbooks.drivers.operations import OperationStore
    from runbooks.drivers.protocols import Operation

NAME, ACTION = "secretsmanager", "write"
BYTES, LONGEST = 32, 4096
# What would be lost with another one, or who else has to know it first.
FIXED = {
    "auth_pepper": "every API key that was made with it would be void",
    "auth_key_ring": "`simplicity auth ring rotate` changes it so that tokens outlast it",
    "backup_cipher": "backups that were made with it could not be read any more",
    "node_rpc_password": "the node's owner gives it: write it with --enter node_rpc_password",  # nosec B105 - a reason
}
# Of those the one that its owner may give again: nothing is lost with the former one.
GIVEN_AGAIN = "node_rpc_password"


@dataclass(frozen=True, slots=True)
class SecretsManagerStore:
    """SecretStore of the cloud; holds no secret itself."""

    environment: Environment
    store: OperationStore

    @property
    def aws(self) -> Aws:
        """Where it is asked."""
        return Aws.of(self.environment)

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do: replace secrets."""
        return frozenset({ACTION})

    def names(self) -> list[str]:
        """Return the secrets that lie in the store."""
        return sorted(name for name, each in self.environment.secrets.items() if each.source == "store")

    def read(self, name: str) -> str:
        """Return a secret. Raises AwsError, GoneError where it is empty."""
        return str(self.aws.call("secretsmanager", "get_secret_value", SecretId=self._place(name))["SecretString"])

    def is_empty(self, name: str) -> bool:
        """Whether a secret has no value yet; it is not read for that. Raises AwsError where there is no such secret."""
        said = self.aws.call("secretsmanager", "describe_secret", SecretId=self._place(name))
        stages = said.get("VersionIdsToStages") or {}
        return not any("AWSCURRENT" in each for each in stages.values())

    def write(self, key: str, name: str, value: str) -> Operation:
        """Replace a secret; who uses it reads it when the playbooks come next. The former value stays AWSPREVIOUS."""
        place = self._place(name)
        if not 1 <= len(value) <= LONGEST or not value.isprintable():
            raise Refusal(f"{name}: this value cannot be used; take one line of at most {LONGEST} characters")
        if name == aws_cache.SECRET and not aws_cache.FORM.fullmatch(value):
            raise Refusal(f"{name}: the cache takes 16 to 128 letters, digits and !&#$^<>- alone")
        digest = hashlib.sha256(value.encode()).hexdigest()
        operation = self.store.begin(key, driver=NAME, action=ACTION, target=name, arguments={"sha256": digest})
        if operation.over:
            return operation
        # The same token and value again has no effect: a killed process's write is repeated without a second version.
        self.aws.call(
            "secretsmanager",
            "put_secret_value",
            SecretId=place,
            SecretString=value,
            ClientRequestToken=_token(place, key),
        )
        return self.store.done(operation, detail=f"{name} is written", result={"in_effect": "with the next playbook"})

    def poll(self, key: str) -> Operation:
        """Return an operation; one whose process was killed is done when the store has its version."""
        operation = own(self.store.get(key), NAME)
        if operation.over:
            return operation
        place = self._place(operation.target)
        said = self.aws.call("secretsmanager", "describe_secret", SecretId=place)
        if _token(place, key) in (said.get("VersionIdsToStages") or {}):
            return self.store.done(operation, detail=f"{operation.target} is written", result={})
        return self.store.update(
            operation, detail="the value is in no record: write it again, with the same key", result={}
        )

    def _place(self, name: str) -> str:
        reference = self.environment.secrets.get(name)
        if reference is None or reference.source != "store":
            raise Refusal(f"there is no secret {name[:60]!r} in the store; there are {', '.join(self.names())}")
        return reference.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What has become of the secrets: names only."""

    filled: tuple[str, ...]
    kept: tuple[str, ...]
    rotated: tuple[str, ...]
    lacking: tuple[str, ...]


def fill(there: SecretsManagerStore, key: str, rotate: tuple[str, ...] = ()) -> Filled:
    """Generate what is empty, and another value for each of `rotate`; what has a value stays. Raises Refusal.

    The cache is told its password, which takes minutes; the others are learned by the playbooks. Repeated after a kill
    it fills what is still empty, and goes on with the cache.
    """
    for name in rotate:
        if name not in there.names():
            raise Refusal(f"there is no secret {name[:60]!r} in the store; there are {', '.join(there.names())}")
        if name in FIXED:
            raise Refusal(f"{name} is not rotated here: {FIXED[name]}")
    filled: list[str] = []
    kept: list[str] = []
    rotated: list[str] = []
    lacking: list[str] = []
    for name in there.names():
        try:
            empty = there.is_empty(name)
        except GoneError:
            raise Refusal(f"the secret {name} is not in AWS; `pulumi up` makes it, empty") from None
        if empty and is_given(there.environment, name):
            lacking.append(name)
        elif empty or name in rotate:
            there.write(f"{key}-{name}"[-100:], name, _generated(name))
            (filled if empty else rotated).append(name)
        else:
            kept.append(name)
    if aws_cache.SECRET in there.names():
        aws_cache.settle(there, f"{key}-cache"[-100:])
    return Filled(filled=tuple(filled), kept=tuple(kept), rotated=tuple(rotated), lacking=tuple(lacking))


def check_entered(there: SecretsManagerStore, name: str) -> None:
    """Raise Refusal where somebody is about to write over what must not be another one."""
    if name in FIXED and name != GIVEN_AGAIN and not there.is_empty(name):
        raise Refusal(f"{name} has a value already, and is not written over: {FIXED[name]}")


def fetch(there: SecretsManagerStore, directory: Path) -> list[str]:
    """Write each secret to a file of its own in a new directory that only this user can read; return their names.

    What playbooks give to hosts they read from files. Raises Refusal where the directory is there already.
    """
    values = {name: there.read(name) for name in there.names()}
    try:
        directory.mkdir(mode=0o700)
    except OSError as error:
        raise Refusal(f"{directory}: cannot be made ({error.strerror}); name a new one, best in memory") from None
    for name, value in values.items():
        write_private(directory / name, f"{value}\n")
    return sorted(values)


def is_given(environment: Environment, name: str) -> bool:
    """Whether a secret is somebody else's, and cannot be made up here."""
    node = environment.drivers.get("node")
    external = node is not None and node.settings.get("owner") == "external"
    return name == "auth_key_ring" or (name == "node_rpc_password" and external)


def _generated(name: str) -> str:
    # An underscore is none of what the cache takes.
    return secrets.token_hex(BYTES) if name == aws_cache.SECRET else secrets.token_urlsafe(BYTES)


def _token(place: str, key: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{place}#{key}"))
