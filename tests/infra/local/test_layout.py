from __future__ import annotations

import stat
from pathlib import Path

import pytest

from infra.local.layout import (
    SOCKET_PATH_LIMIT,
    EnvelopeError,
    Layout,
    layout,
    private_directory,
    read_object,
    write_private,
)
from infra.local.lock import exclusive


def test_directories_are_private(tmp_path: Path) -> None:
    made = Layout(home=tmp_path / "home", tools=tmp_path / "tools")
    made.create()
    modes = {stat.S_IMODE(p.stat().st_mode) for p in (made.data, made.run, made.log, made.secrets)}
    assert modes == {0o700}


def test_a_path_too_long_for_a_socket_gets_a_short_private_one(tmp_path: Path) -> None:
    long = Layout(home=tmp_path / ("x" * 120), tools=tmp_path)
    other = Layout(home=tmp_path / ("y" * 120), tools=tmp_path)
    assert len(str(long.socket)) <= SOCKET_PATH_LIMIT
    assert long.socket != other.socket
    assert long.socket.parent.parent == Path("/tmp")  # noqa: S108 - the very path that is asserted


def test_a_link_under_our_name_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").symlink_to(tmp_path / "theirs")
    with pytest.raises(EnvelopeError, match="not a directory of yours"):
        private_directory(tmp_path / "ours")


def test_a_path_that_supervisor_would_misread_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EnvelopeError, match="contains '#'"):
        Layout(home=tmp_path / "a #b", tools=tmp_path).create()


def test_a_home_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvelopeError, match="SIMPLICITY_HOME"):
        Layout(home=tmp_path / "file" / "home", tools=tmp_path).create()


def test_simplicity_home_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path))
    monkeypatch.delenv("SIMPLICITY_TOOLS", raising=False)
    assert (layout().data, layout().tools) == (tmp_path / "local", tmp_path / "tools")


def test_a_secret_is_written_for_its_owner_only(tmp_path: Path) -> None:
    write_private(tmp_path / "secret", "one")
    write_private(tmp_path / "secret", "two")
    assert (tmp_path / "secret").read_text() == "two"
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"'])
def test_a_damaged_memory_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "ports.json").write_text(text)
    assert read_object(tmp_path / "ports.json") == {}


def test_a_second_command_is_told_who_is_at_work(tmp_path: Path) -> None:
    with (
        exclusive(tmp_path / "lock", "up"),
        pytest.raises(EnvelopeError, match=r"`simplicity up` \(pid \d+\) is at work"),
        exclusive(tmp_path / "lock", "down"),
    ):
        pass
    with exclusive(tmp_path / "lock", "down"):
        pass


def test_a_directory_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    private_directory(tmp_path / "open")
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o700


def test_a_file_where_a_directory_has_to_be_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvelopeError, match="set SIMPLICITY_HOME to a directory you can write to"):
        private_directory(tmp_path / "file" / "log")
    with (
        pytest.raises(EnvelopeError, match="set SIMPLICITY_HOME to a directory you can write to"),
        exclusive(tmp_path / "file" / "lock", "up"),
    ):
        pass
