"""The keys of backups on disk."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from runbooks.backup import keys
from runbooks.backup.errors import BackupError
from tests.support.backups import bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = {"identity": 0o600, "recipient": 0o644, "signing.key": 0o600, "signing.key.pub": 0o644}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    assert keys.make(folder)
    return folder


def test_keys_are_made_once_and_private_ones_for_their_owner_alone(made: Path) -> None:
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in made.iterdir()} == FILES
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    before = bytes_of(made)
    assert not keys.make(made)
    assert bytes_of(made) == before


def test_what_seals_and_what_opens_belong_together(made: Path) -> None:
    sealing, opening = keys.load_sealing(made), keys.load_opening(made)
    assert sealing.trusted == opening.trusted == keys.load_trusted(made)
    assert str(opening.identity.to_public()) == str(sealing.recipient)


def test_no_key_shows_in_a_representation(made: Path) -> None:
    said = repr(keys.load_sealing(made)) + repr(keys.load_opening(made))
    assert "SECRET" not in said
    assert "signer" not in said


def test_a_host_that_makes_backups_needs_no_identity_and_a_restore_no_signing_key(made: Path, tmp_path: Path) -> None:
    elsewhere = (made / "identity").rename(tmp_path / "identity")
    keys.load_sealing(made)
    with pytest.raises(BackupError, match=r"identity is missing; .* a restore needs those of the backup"):
        keys.load_opening(made)
    (made / "signing.key").unlink()
    keys.load_opening(made, elsewhere)


@pytest.mark.parametrize("name", ["recipient", "signing.key", "identity", "signing.key.pub"])
@pytest.mark.parametrize("content", [b"", b"age1nonsense\n", b"\xff\xfe\x00"])
def test_a_damaged_key_is_named_in_one_line(made: Path, name: str, content: bytes) -> None:
    (made / name).write_bytes(content)
    load: Callable[[Path], object] = keys.load_sealing if name in {"recipient", "signing.key"} else keys.load_opening
    with pytest.raises(BackupError, match=name) as caught:
        load(made)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["identity", "signing.key"])
def test_a_private_key_that_all_can_read_is_refused(made: Path, name: str) -> None:
    (made / name).chmod(0o644)
    with pytest.raises(BackupError, match=r"everybody can read this private key; run: chmod 600"):
        keys.load_opening(made) if name == "identity" else keys.load_sealing(made)


def test_keys_that_cannot_be_written_are_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BackupError, match=r"cannot be made in .*/file/keys \(Not a directory\)"):
        keys.make(tmp_path / "file" / "keys")


def test_an_interrupted_keygen_is_gone_on_with_and_the_identity_stays(made: Path) -> None:
    identity = (made / "identity").read_bytes()
    for name in ("signing.key", "signing.key.pub", "recipient"):
        (made / name).unlink()
    assert keys.make(made)
    assert (made / "identity").read_bytes() == identity
    assert str(keys.load_opening(made).identity.to_public()) == str(keys.load_sealing(made).recipient)


def test_an_identity_that_is_there_is_never_overwritten(made: Path) -> None:
    # A host that only restores has no signing key: `up` and `keygen --if-missing` must not take its backups from it.
    (made / "signing.key").unlink()
    (made / "recipient").unlink()
    before = bytes_of(made)
    with pytest.raises(BackupError, match=r"has keys of backups, but no signing\.key"):
        keys.make(made)
    assert bytes_of(made) == before
