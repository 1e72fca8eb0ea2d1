"""Whatever happens to a repository: it is refused in one line, before anything is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runbooks.backup import keys, proofs
from runbooks.backup.errors import BackupError, RefusedError
from runbooks.backup.verifying import verify
from tests.runbooks.backup.damaging import DAMAGES, VERIFY, forge_proof, refusals

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runbooks.backup.damaging import Scene

# What is not there is asked for in vain, nothing that is there is refused.
NOT_THERE = {"a missing manifest", "a lost identity"}

pytestmark = pytest.mark.xdist_group("backups")  # one worker has the server


def test_without_damage_nothing_is_refused(scene: Scene, folder: Path) -> None:
    assert refusals(scene, folder / "restored") == {}
    assert (folder / "restored" / "data" / "PG_VERSION").exists()


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_is_refused_in_one_line_that_names_it(name: str, scene: Scene, folder: Path) -> None:
    expected = DAMAGES[name](scene)
    found = refusals(scene, folder / "restored")
    assert found.keys() == expected.by
    for error in found.values():
        assert expected.words in str(error)
        assert "\n" not in str(error)
        assert isinstance(error, RefusedError) is (name not in NOT_THERE)
    if "restore" in expected.by:
        assert not (folder / "restored" / "data").exists(), "nothing may be started on what was refused"


# What nobody can see who decrypts nothing.
UNSEEN = {"the wrong identity", "a flipped byte in the checkpoints"}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_host_without_the_identity_refuses_what_is_damaged_as_well(name: str, scene: Scene) -> None:
    expected = DAMAGES[name](scene)
    (scene.keys / keys.IDENTITY).unlink(missing_ok=True)
    if VERIFY not in expected.by or name in UNSEEN:
        assert not verify(scene.there, scene.backup, scene.keys).decrypted
        return
    with pytest.raises(BackupError) as caught:
        verify(scene.there, scene.backup, scene.keys)
    assert expected.words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_backup_is_not_proven_by_what_a_stranger_or_another_backups_folder_says(scene: Scene) -> None:
    trusted = keys.load_trusted(scene.keys)
    forge_proof(scene)
    assert proofs.proven(proofs.read(scene.there, trusted)) == {}
    forge_proof(scene, scene.signer())
    assert proofs.proven(proofs.read(scene.there, trusted)).keys() == {scene.backup}
    folder = scene.folder / "proofs"
    (folder / scene.backup).rename(folder / scene.parent)
    assert proofs.proven(proofs.read(scene.there, trusted)) == {}, "a proof of one backup is none of another"
