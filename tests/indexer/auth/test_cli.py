"""`simplicity auth` as an operator types it."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from audit import trail
from indexer.auth import cli, ring_file
from indexer.auth.authenticator import Authenticator
from indexer.auth.ring import LEEWAY
from indexer.settings import Settings
from indexer.store.connection import connect
from tests.indexer.auth.world import PEPPER
from tests.support.postgres import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    Run = Callable[..., Result]


@pytest.fixture
def ring_path(tmp_path: Path) -> Path:
    return tmp_path / "ring.json"


@pytest.fixture
def environment(database_url: str, ring_path: Path) -> dict[str, str]:
    return {"DATABASE_URL": database_url, "AUTH_PEPPER": PEPPER, "AUTH_KEY_RING": str(ring_path)}


@pytest.fixture
def run(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a sub-command; settings given as keywords replace those of the environment, None takes one away."""
    monkeypatch.setattr("indexer.log.configure", lambda _level: None)

    def invoke(*arguments: str, stdin: str | bytes = "", **changes: str | None) -> Result:
        done = CliRunner().invoke(cli.app, arguments, input=stdin, env=environment | changes)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    return invoke


def said(done: Result, code: int = 0) -> Any:  # noqa: ANN401 - JSON
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def made(run: Run, *arguments: str, role: str = "operator") -> Any:  # noqa: ANN401 - JSON
    return said(run("keys", "create", "--name", "wallet", "--role", role, "--json", *arguments))


def token_of(environment: dict[str, str], key: str) -> str:
    """A token as the API would issue it."""
    settings = Settings(_env_file=None, **environment)  # type: ignore[arg-type]
    authenticator = Authenticator.from_settings(settings)
    with cli_connection(settings) as connection:
        from indexer.auth.store import listed  # noqa: PLC0415 - named like a command here

        authenticator.update(listed(connection))
    return authenticator.issue(authenticator.authenticate(None, key)).text


def cli_connection(settings: Settings) -> Any:  # noqa: ANN401 - a context manager
    from indexer.auth.store import opened  # noqa: PLC0415 - as above

    return opened(settings.DATABASE_URL.get_secret_value())


def test_a_key_is_shown_once_and_listed_without_its_secret(run: Run) -> None:
    done = run("keys", "create", "--name", "wallet", "--role", "reader", "--expires", "90d")
    assert done.exit_code == 0
    key, line, note = done.stdout.splitlines()
    assert line.startswith(f"{key[3:15]}  active   reader    wallet  (created 20")
    assert note == "keep it: it is not shown again"
    for listing in (run("keys", "list"), run("keys", "list", "--json")):
        assert key[3:15] in listing.stdout
        assert key[16:] not in listing.stdout
    (listed,) = said(run("keys", "list", "--json"))
    assert listed.keys() == {"key_id", "name", "role", "state", "created_at", "expires_at", "revoked_at"}
    assert (listed["state"], listed["role"], listed["revoked_at"]) == ("active", "reader", None)


def test_without_keys_the_list_says_so(run: Run) -> None:
    assert run("keys", "list").stdout == "there are no keys\n"
    assert said(run("keys", "list", "--json")) == []


def test_from_a_key_to_its_rotation_and_its_end(run: Run) -> None:
    first = made(run)
    assert said(run("inspect", "-", "--json", stdin=first["key"]))["accepted"]
    second = said(run("keys", "rotate", first["key_id"], "--overlap", "24h", "--json"))
    assert (second["name"], second["role"], second["expires_at"]) == ("wallet", "operator", None)
    assert second["old"]["key_id"] == first["key_id"]
    assert second["old"]["expires_at"] > first["created_at"]
    for key in (first["key"], second["key"]):
        assert said(run("inspect", "-", "--json", stdin=key))["accepted"]
    third = run("keys", "rotate", second["key_id"], "--overlap", "0s").stdout.splitlines()[0]
    assert said(run("inspect", "-", "--json", stdin=second["key"]), 1)["reason"] == "expired"
    revoked = run("keys", "revoke", third[3:15])
    assert "revoked" in revoked.stdout
    assert run("keys", "revoke", third[3:15]).stdout == revoked.stdout
    assert said(run("inspect", "-", "--json", stdin=third), 1)["reason"] == "revoked"
    assert [each["state"] for each in said(run("keys", "list", "--json"))] == ["active", "expired", "revoked"]


def test_a_wrong_id_option_or_setting_is_one_line_and_no_secret(run: Run) -> None:
    key = made(run)["key"]
    for done, words in (
        (run("keys", "revoke", "0" * 12), "no key 000000000000: see keys list"),
        (run("keys", "revoke", key), "ID must be the 12 digits"),
        (run("keys", "rotate", key), "ID must be the 12 digits"),
        (run("keys", "rotate", "0" * 12, "--overlap", "soon"), "--overlap soon: must look like"),
        (run("keys", "create", "--name", " ", "--role", "reader"), "--name: must be 1 to 100 printable"),
        (run("keys", "create", "--name", "a\nb", "--role", "reader"), "--name: must be 1 to 100 printable"),
        (run("keys", "create", "--name", "a", "--role", "reader", "--expires", "1y"), "--expires 1y: must look like"),
        (run("keys", "create", "--name", "a", "--role", "reader", AUTH_PEPPER=None), "AUTH_PEPPER is not set"),
        (run("keys", "create", "--name", "a", "--role", "reader", AUTH_PEPPER="short"), "AUTH_PEPPER"),
        (run("ring", "show", AUTH_KEY_RING=None), "AUTH_KEY_RING is not set"),
        (run("ring", "show"), "no such file; make one with: simplicity auth ring create"),
        (run("ring", "rotate"), "no such file"),
        (run("inspect", "-", stdin=key, AUTH_PEPPER=None), "AUTH_PEPPER is not set"),
        (run("inspect", "-", stdin="eyJ", AUTH_KEY_RING=None), "AUTH_KEY_RING is not set"),
    ):
        assert done.exit_code == 2, done.output
        assert done.stdout == ""
        assert done.stderr.startswith(f"simplicity: {words}") or f": {words}" in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1
        assert key[16:] not in done.stderr
        assert PEPPER not in done.stderr
    assert len(said(run("keys", "list", "--json"))) == 1


def test_a_database_that_is_away_exits_with_1_and_for_inspect_with_2(run: Run) -> None:
    key = made(run)["key"]
    away = f"postgresql://nobody:secret@127.0.0.1:{free_port()}/none"
    done = run("keys", "list", DATABASE_URL=away)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "secret" not in done.stderr
    assert run("inspect", "-", stdin=key, DATABASE_URL=away).exit_code == 2
    # What is wrong by itself needs no database.
    assert said(run("inspect", "-", "--json", stdin=key + "x", DATABASE_URL=away), 1)["reason"] == "malformed"


def test_a_ring_is_made_shown_rotated_and_pruned(run: Run, ring_path: Path) -> None:
    (first,) = said(run("ring", "create", "--json"))
    assert stat.S_IMODE(ring_path.stat().st_mode) == 0o600
    assert run("ring", "create").exit_code == 2
    assert said(run("ring", "show", "--json")) == [first]
    assert first["state"] == "signs"
    old, new = said(run("ring", "rotate", "--delay", "100", "--json"))
    assert (old["kid"], old["state"], new["state"]) == (first["kid"], "signs", "waits")
    assert old["verifies_until"] is not None
    ring = ring_file.load(ring_path)
    assert ring.keys[0].verifies_until == ring.keys[1].signs_from + 900 + LEEWAY
    done = run("ring", "rotate")
    assert done.stdout.startswith(
        f"{ring_path}: rotated; every API host needs this file within 50 seconds\n{old['kid']}"
    )
    assert len(said(run("ring", "prune", "--json"))) == 3
    private = json.loads(ring_path.read_bytes())["keys"][0]["private_key"]
    assert all(private not in run("ring", command).output for command in ("show", "prune", "rotate"))


def test_a_stolen_ring_is_replaced_at_once(run: Run, environment: dict[str, str]) -> None:
    run("ring", "create")
    token = token_of(environment, made(run)["key"])
    assert run("inspect", "-", stdin=token).exit_code == 0
    (only,) = said(run("ring", "rotate", "--at-once", "--json"))
    assert only["state"] == "signs"
    assert said(run("inspect", "-", "--json", stdin=token), 1)["reason"] == "signature"


def test_inspect_says_why_a_token_is_refused(run: Run, environment: dict[str, str]) -> None:
    run("ring", "create")
    key = made(run)
    token = token_of(environment, key["key"])
    accepted = said(run("inspect", "-", "--scope", "operate", "--json", stdin=f"Bearer {token}\n"))
    assert accepted == {
        "accepted": True,
        "reason": None,
        "detail": "a good token",
        "kind": "token",
        "key_id": key["key_id"],
        "name": "wallet",
        "role": "operator",
        "scope": "read operate",
        "expires_at": accepted["expires_at"],
    }
    assert accepted["expires_at"] > key["created_at"]
    text = run("inspect", token).stdout
    assert text.startswith(
        f"accepted: a good token\ntoken of API key {key['key_id']} (wallet), role operator, scope read"
    )
    refused = said(run("inspect", "-", "--scope", "admin", "--json", stdin=token), 1)
    assert (refused["reason"], refused["detail"]) == ("scope", "it has not the scope admin")
    head, body, signature = token.split(".")
    for changed, reason in (
        (f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}", "signature"),
        (f"{head}.{body}", "malformed"),
        ("", "malformed"),
        ("\xff\x00", "malformed"),
    ):
        assert said(run("inspect", "-", "--json", stdin=changed.encode("latin-1")), 1)["reason"] == reason
    run("keys", "revoke", key["key_id"])
    done = run("inspect", "-", stdin=token)
    assert done.exit_code == 1
    assert done.stdout.startswith("refused (revoked): the API key was revoked at 20")
    assert f"token of API key {key['key_id']} (wallet)" in done.stdout
    assert token not in done.output


def test_inspect_says_why_a_key_is_refused(run: Run, database_url: str) -> None:
    key = made(run, "--expires", "1h", role="reader")
    assert said(run("inspect", "-", "--json", stdin=key["key"]))["expires_at"] == key["expires_at"]
    assert said(run("inspect", "-", "--json", "--scope", "operate", stdin=key["key"]), 1)["reason"] == "scope"
    wrong = key["key"][:-1] + ("A" if key["key"][-1] != "A" else "B")
    refused = said(run("inspect", "-", "--json", stdin=wrong), 1)
    assert (refused["reason"], refused["name"]) == ("signature", None)
    with connect(database_url) as connection:
        connection.execute("UPDATE ops.api_keys SET expires_at = now() - interval '1 s'")
    assert said(run("inspect", "-", "--json", stdin=key["key"]), 1)["reason"] == "expired"
    with connect(database_url) as connection:
        connection.execute("DELETE FROM ops.api_keys")
    assert said(run("inspect", "-", "--json", stdin=key["key"]), 1)["reason"] == "unknown"


def told(environment: dict[str, str]) -> list[dict[str, Any]]:
    with connect(environment["DATABASE_URL"]) as connection:
        return [link.facts for link in trail.links(connection)]


def test_every_change_of_the_ring_is_in_the_audit_trail_without_its_private_keys(
    run: Run, environment: dict[str, str], ring_path: Path
) -> None:
    first = said(run("ring", "create", "--json"))
    second = said(run("ring", "rotate", "--delay", "60", "--json"))
    said(run("ring", "prune", "--json"))  # nothing to do: nothing to tell
    third = said(run("ring", "rotate", "--at-once", "--json"))

    created, rotated, replaced = told(environment)
    assert [each["action"] for each in (created, rotated, replaced)] == [
        "auth.ring.create",
        "auth.ring.rotate",
        "auth.ring.rotate",
    ]
    assert created["before"] == {"ring": []}
    assert rotated["before"] == created["after"]
    for entry, shown in ((created, first), (rotated, second), (replaced, third)):
        assert [key["kid"] for key in entry["after"]["ring"]] == [key["kid"] for key in shown]
        assert entry["after"]["ring"][0].keys() == {"kid", "signs_from", "verifies_until"}
    assert replaced["arguments"] == {"delay": 60, "at_once": True}
    for key in json.loads(ring_path.read_text())["keys"]:
        assert key["private_key"] not in json.dumps(told(environment))


def test_a_change_of_the_ring_while_the_database_is_away_is_told_later(
    run: Run, environment: dict[str, str], ring_path: Path
) -> None:
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    done = run("ring", "create", "--json", DATABASE_URL=away)
    spool = ring_path.with_name("ring.json.audit-spool")
    assert said(done)
    assert f"the audit trail cannot be reached: the change waits in {spool} for the next one" in done.stderr
    assert stat.S_IMODE(spool.stat().st_mode) == 0o600

    assert run("ring", "rotate").stderr == ""
    assert [each["action"] for each in told(environment)] == ["auth.ring.create", "auth.ring.rotate"]


def test_a_change_of_the_ring_that_can_be_told_nowhere_is_said(run: Run, ring_path: Path) -> None:
    ring_path.with_name("ring.json.audit-spool").mkdir()
    done = run("ring", "create")

    assert done.exit_code == 2
    assert f"{ring_path}: is changed, but" in done.stderr
