"""The local envelope's secrets: files, by the names that the environment document gives them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infra.environment import EnvironmentFileError
from infra.local.layout import EnvelopeError, write_private
from infra.local.lock import exclusive
from runbooks.drivers.operations import own
from runbooks.drivers.protocols import Operation, Refusal

if TYPE_CHECKING:
    from infra.environment import Environment
    from infra.local.layout import Layout
    from runbooks.drivers.operations import OperationStore

DRIVER = "files"
ACTION = "write"
# What the next `up` gives to the server and to all who log in there.
WRITABLE = frozenset(
    {
        "cache_password",
        "database_backup_password",
        "database_monitoring_password",
        "database_reader_password",
        "database_writer_password",
    }
)
FIXED = {
    "auth_pepper": "every API key that was made with it would be void",
    "auth_key_ring": "`simplicity auth ring rotate` changes it so that tokens outlast it",
    "grafana_admin_password": "`grafana cli admin reset-admin-password` changes it",  # nosec B105 - its name
    "node_rpc_cookie": "the node makes it anew at each start",
}
# It stands in URLs, configuration files and environments, and must need no quotes in any of them.
VALUE = re.compile(r"[A-Za-z0-9_-]{16,128}")


@dataclass(frozen=True, slots=True)
class LocalSecretStore:
    """SecretStore for the envelope in `layout`, which `environment` describes; holds no secret itself."""

    environment: Environment
    layout: Layout
    store: OperationStore

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do: replace some of the secrets."""
        return frozenset({ACTION})

    def names(self) -> list[str]:
        """Return the secrets that the document names."""
        return sorted(self.environment.secrets)

    def read(self, name: str) -> str:
        """Return a secret; raises Refusal when it is not to be had."""
        try:
            return self.environment.secret(name)
        except EnvironmentFileError as error:
            raise Refusal(f"{error}; there are {', '.join(self.names())}") from None

    def write(self, key: str, name: str, value: str) -> Operation:
        """Replace a secret; it comes into effect with the next `simplicity up`.

        Raises Refusal, and changes nothing, for a name or a value that the envelope cannot take, or while another
        command is at work on it. Whoever was killed in here begins again with the same key and value.
        """
        path = self._path(name)
        if not VALUE.fullmatch(value):
            raise Refusal(f"{name}: this value cannot be used; take 16 to 128 characters of A-Z a-z 0-9 _ -")
        digest = _digest(value)
        try:
            with exclusive(self.layout.lock, "runbook"):
                operation = self.store.begin(
                    key, driver=DRIVER, action=ACTION, target=name, arguments={"sha256": digest}
                )
                if operation.over:
                    return operation
                changed = _digest(self.read(name)) != digest
                if changed:
                    write_private(path, f"{value}\n")
                return self._done(operation)
        except EnvelopeError as error:
            raise Refusal(str(error)) from None

    def poll(self, key: str) -> Operation:
        """Return an operation; one whose process was killed is done when the file holds the value, else it waits."""
        operation = own(self.store.get(key), DRIVER)
        if operation.over:
            return operation
        if _digest(self.read(operation.target)) == operation.arguments["sha256"]:
            return self._done(operation)
        return self.store.update(
            operation, detail="the value is in no record: write it again, with the same key", result={}
        )

    def _done(self, operation: Operation) -> Operation:
        detail = f"{operation.target} is written; `simplicity up` brings it into effect"
        return self.store.done(operation, detail=detail, result={"in_effect": "after the next `simplicity up`"})

    def _path(self, name: str) -> Path:
        """Return the file of a secret that may be replaced; raises Refusal for all others."""
        reference = self.environment.secrets.get(name)
        if reference is None:
            raise Refusal(f"there is no secret {name[:40]!r}; there are {', '.join(self.names())}")
        if name not in WRITABLE:
            why = FIXED.get(name, "the envelope does not take another one")
            others = ", ".join(sorted(WRITABLE & self.environment.secrets.keys()))
            raise Refusal(f"{name} is not replaced here: {why}; those that are: {others}")
        path = Path(reference.name)
        if reference.source != "file" or path.parent != self.layout.secrets:
            raise Refusal(f"{name} lies outside of this envelope; replace it where it is kept")
        return path


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
