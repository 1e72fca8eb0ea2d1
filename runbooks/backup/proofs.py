"""What restores of a backup came to, kept beside it: a backup that has none is unproven."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from audit.objects import ObjectExistsError
from runbooks.backup.errors import RefusedError
from runbooks.backup.manifest import Tip  # noqa: TC001 - msgspec reads the annotations when it runs
from runbooks.backup.sealed import sign, signed_body

if TYPE_CHECKING:
    from collections.abc import Collection

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from runbooks.backup.repository import Repository


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One restore: what each check saw, and the seconds from its beginning. `failed` is empty where all held."""

    backup: str
    target: str
    at: str
    seconds: float
    tip: Tip | None
    checks: dict[str, str]
    failed: str = ""


def record(repository: Repository, proof: Proof, key: Ed25519PrivateKey) -> None:
    """Keep a proof beside its backup."""
    moment = datetime.now(UTC)
    try:
        repository.store.put(
            repository.name("proofs", proof.backup, f"{moment:%Y%m%dT%H%M%S.%fZ}.json"),
            sign(msgspec.json.format(msgspec.json.encode(proof)), key),
        )
    except ObjectExistsError:
        return


def read(repository: Repository, trusted: Collection[bytes]) -> dict[str, list[Proof]]:
    """Return all proofs by backup, oldest first; one that is not signed by a trusted key proves nothing."""
    found: dict[str, list[Proof]] = {}
    for name in repository.store.names(repository.name("proofs", "")):
        try:
            body = signed_body(repository.store.get(name), trusted, name=name)
            proof = msgspec.json.decode(body, type=Proof)
        except (RefusedError, msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if name.split("/")[-2] == proof.backup:
            found.setdefault(proof.backup, []).append(proof)
    return found


def proven(found: dict[str, list[Proof]]) -> dict[str, str]:
    """Return when each proven backup was last proven, in ISO 8601."""
    held = {backup: [proof.at for proof in proofs if not proof.failed] for backup, proofs in found.items()}
    return {backup: times[-1] for backup, times in held.items() if times}
