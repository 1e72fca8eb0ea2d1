"""`simplicity operations serve`: what cannot work is one line."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from runbooks.operations.cli import app

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("listen", "says"),
    [
        ("8090", "say HOST:PORT"),
        (":8090", "say HOST:PORT"),
        ("127.0.0.1:http", "say HOST:PORT"),
        ("127.0.0.1:99999", "cannot be listened on"),
        ("192.0.2.1:8090", "cannot be listened on (Cannot assign requested address); choose another"),
        ("[::1]:99999", "cannot be listened on"),
    ],
)
def test_an_address_that_cannot_be_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listen: str, says: str
) -> None:
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path))
    done = CliRunner().invoke(app, ["serve", "--listen", listen])
    assert (done.exit_code, says in done.stderr, done.stderr.count("\n")) == (2, True, 1), done.output


def test_a_port_that_is_taken_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = CliRunner().invoke(app, ["serve", "--listen", f"127.0.0.1:{other.getsockname()[1]}"])
    assert (done.exit_code, "Address already in use" in done.stderr) == (2, True)


def test_a_home_that_cannot_be_written_to_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").touch()
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path / "home"))
    done = CliRunner().invoke(app, ["serve"])
    assert (done.exit_code, "set SIMPLICITY_HOME to a directory you can write to" in done.stderr) == (2, True)


@pytest.mark.parametrize(("token", "says"), [(None, "cannot be read"), ("short", "has no token of 16 characters")])
def test_a_token_file_without_a_token_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str | None, says: str
) -> None:
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path))
    if token is not None:
        (tmp_path / "token").write_text(token)
    done = CliRunner().invoke(app, ["serve", "--listen", "127.0.0.1:0", "--token-file", str(tmp_path / "token")])
    assert (done.exit_code, says in done.stderr, done.stderr.count("\n")) == (2, True, 1), done.output
