"""Keys and rings as people and machines read them; never a secret."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from indexer.auth.times import moment

if TYPE_CHECKING:
    from indexer.auth.keys import KeyRecord
    from indexer.auth.ring import Ring

Shown = dict[str, str | None]


def shown(record: KeyRecord) -> Shown:
    """Return an API key for machines."""
    return {
        "key_id": record.key_id,
        "name": record.name,
        "role": record.role,
        "state": _state(record),
        "created_at": moment(record.created_at),
        "expires_at": None if record.expires_at is None else moment(record.expires_at),
        "revoked_at": None if record.revoked_at is None else moment(record.revoked_at),
    }


def line(record: KeyRecord) -> str:
    """Return an API key for people."""
    fields = shown(record)
    times = [f"{name} {fields[f'{name}_at']}" for name in ("created", "expires", "revoked") if fields[f"{name}_at"]]
    return f"{record.key_id}  {fields['state']:7}  {record.role:8}  {record.name}  ({', '.join(times)})"


def ring(found: Ring, title: str) -> tuple[list[Shown], str]:
    """Return what each key of a ring does, for machines and for people."""
    now = time.time()
    keys: list[Shown] = [
        {
            "kid": key.kid,
            "state": found.state(key, now),
            "signs_from": moment(key.signs_from),
            "verifies_until": None if key.verifies_until is None else moment(key.verifies_until),
        }
        for key in found.keys
    ]
    lines = [
        f"{key['kid']}  {key['state']:8}  signs from {key['signs_from']}"
        + (f", verifies until {key['verifies_until']}" if key["verifies_until"] else "")
        for key in keys
    ]
    return keys, "\n".join([title, *lines])


def _state(record: KeyRecord) -> str:
    if record.revoked_at is not None:
        return "revoked"
    return "active" if record.expires_at is None or record.expires_at > time.time() else "expired"
