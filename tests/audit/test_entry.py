"""What an entry says, and what it never does."""

from __future__ import annotations

import json
import os
import pwd
import socket
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from uuid import UUID

import pytest

from audit.entry import Entry, actor, canonical, entry, masked, origin
from audit.masking import is_secret, masked_text

SECRET = "hunter2"


def test_an_entry_says_who_did_it_from_where_and_when(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    said = entry("auth.keys.create", "key 3f9a1c5b7d20")

    assert said.actor == pwd.getpwuid(os.geteuid()).pw_name
    assert said.origin == socket.gethostname()
    assert datetime.now(UTC) - datetime.fromisoformat(said.at) < timedelta(minutes=1)
    assert said.at.endswith("+00:00")
    assert UUID(said.id).version == 4
    assert (said.result, said.run, said.before, said.after, said.arguments) == ("done", "", None, None, {})


def test_behind_sudo_the_person_is_named_and_within_ssh_the_clients_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "alice")
    monkeypatch.setenv("SSH_CONNECTION", "2001:db8::7 50000 10.0.0.1 22")

    assert actor() == "alice (as root)"
    assert origin() == f"{socket.gethostname()} (from 2001:db8::7)"


@pytest.mark.parametrize("session", ["", "nonsense\x1b[31m 1 2 3"])
def test_what_is_no_address_is_not_told_as_one(monkeypatch: pytest.MonkeyPatch, session: str) -> None:
    monkeypatch.setenv("SSH_CONNECTION", session)

    assert origin() == socket.gethostname()


def test_a_user_without_a_name_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 4_000_000_000)

    assert actor() == "uid 4000000000"


def test_an_actor_that_is_given_is_taken() -> None:
    assert entry("a", "b", actor="bob", origin="host9").actor == "bob"


@pytest.mark.parametrize(
    "name",
    [
        *("password", "DB_PASSWORD", "passphrase", "client_secret", "secrets", "token", "accessToken", "AUTH_PEPPER"),
        *("key", "api_key", "private-key", "AWS_SECRET_ACCESS_KEY", "identity", "age_identity", "Authorization"),
    ],
)
def test_what_stands_under_a_secrets_name_is_masked(name: str) -> None:
    assert masked({name: SECRET, "list": [{name: {"deep": SECRET}}]}) == {name: "***", "list": [{name: "***"}]}
    assert masked({name: None}) == {name: None}


@pytest.mark.parametrize(
    "name", ["key_id", "kid", "api_keys", "keys", "key_ring", "public_key", "digest_sha256", "monkey"]
)
def test_what_only_sounds_like_a_secret_is_not_masked(name: str) -> None:
    assert not is_secret(name)
    assert masked({name: "shown"}) == {name: "shown"}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"postgresql://alice:{SECRET}@db:5432/x?y=1", "postgresql://db:5432/x?y=1"),
        (f"see redis://:{SECRET}@cache/0 and http://u:{SECRET}@h/p", "see redis://cache/0 and http://h/p"),
        (f"postgresql://u:{SECRET}@with@at@db/x", "postgresql://db/x"),
        (f"postgresql://u:a/{SECRET}@db/x", "postgresql://db/x"),
        (f"host=db password='{SECRET} x' dbname=x", "host=db password=*** dbname=x"),
        (f"https://h/p?token={SECRET}&a=b", "https://h/p?token=***&a=b"),
        (f"AUTH_PEPPER={SECRET} simplicity api", "AUTH_PEPPER=*** simplicity api"),
        (f"tool --db-password {SECRET} --x", "tool --db-password *** --x"),
        (f"Bearer {SECRET}.x", "Bearer ***"),
        (f"sk_3f9a1c5b7d20_{SECRET}", "sk_3f9a1c5b7d20_***"),
        (f"AGE-SECRET-KEY-1{SECRET}", "***"),
        (f"eyJhbGciOi.eyJ.{SECRET}", "***"),
        (f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\nend", "***\nend"),
        ("https://host/a@b is no credential", "https://host/a@b is no credential"),
        ("secret 'x' of environment local", "secret 'x' of environment local"),
    ],
)
def test_a_text_loses_what_looks_like_a_secret_however_often_it_is_masked(text: str, left: str) -> None:
    assert masked_text(text) == left
    assert masked_text(left) == left
    said = Entry(action=text, target=text, actor=text, origin=text, result=text, run=text, arguments={text: text})
    body = canonical(said.as_dict())
    assert SECRET not in body
    assert SECRET not in canonical(Entry.of(json.loads(body)).as_dict())


def test_whatever_is_told_becomes_json() -> None:
    values = {
        "bytes": b"\x00\xff",
        "nan": float("nan"),
        "date": datetime(2026, 11, 30, tzinfo=UTC),
        "path": Path("/tmp/x"),  # noqa: S108 - only named
        "amount": Decimal("1.50"),
        "tuple": (1, True, None, 1.5),
        "set": {"b", "a"},
        "proxy": MappingProxyType({1: "one"}),
        "surrogate": "\ud800",
        "nul": "\x00",
    }
    said = Entry(action="a", target="b", actor="c", origin="d", arguments=MappingProxyType(values))  # type: ignore[arg-type]  # what people pass

    assert json.loads(canonical(said.as_dict()).encode())["arguments"] == {
        "bytes": "00ff",
        "nan": "nan",
        "date": "2026-11-30 00:00:00+00:00",
        "path": "/tmp/x",  # noqa: S108 - as above
        "amount": "1.50",
        "tuple": [1, True, None, 1.5],
        "set": ["a", "b"],
        "proxy": {"1": "one"},
        "surrogate": "\\ud800",
        "nul": "\x00",
    }


def test_an_id_that_the_database_would_give_back_in_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a UUID in lower case"):
        entry("a", "b", id="3F9A1C5B-7D20-4000-8000-000000000000")


def test_an_entry_is_read_again_as_it_was_written() -> None:
    said = entry("a", "b", arguments={"x": [1]}, before={"t": [{"x": None}]}, after="ä", result="failed: y", run="r")

    assert Entry.of(json.loads(canonical(said.as_dict()))) == said


@pytest.mark.parametrize("change", [{"more": 1}, {"action": 1}, {"arguments": []}, {"id": "x"}])
def test_what_is_no_entry_is_not_read_as_one(change: dict[str, object]) -> None:
    value = dict(entry("a", "b").as_dict()) | change
    with pytest.raises(ValueError, match=r"no entry|UUID"):
        Entry.of(value)
    others: tuple[object, ...] = (None, [], "x", {})
    for other in others:
        with pytest.raises(ValueError, match="no entry"):
            Entry.of(other)
