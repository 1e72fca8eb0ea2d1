"""What is removed from a repository, and what is there whatever cuts a removal off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from audit.objects import ObjectStoreError, open_store
from runbooks.backup import proofs, pruning
from runbooks.backup.errors import BackupError, RefusedError
from runbooks.backup.manifest import Manifest, Owner, pack
from runbooks.backup.proofs import Proof
from runbooks.backup.repository import Repository, clusters, opened
from runbooks.backup.retention import Policy
from runbooks.backup.sealed import sign
from tests.support.backups import a_manifest

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from runbooks.backup.keys import Sealing

BEGIN = datetime(2026, 1, 1, 5, tzinfo=UTC)
TWO_DAYS = Policy(recent=0, daily=2, weekly=0, monthly=0, yearly=0)


@pytest.fixture
def place(tmp_path: Path) -> Repository:
    return Repository(open_store((tmp_path / "repository").as_uri()), a_manifest().cluster)


def kept(place: Repository, sealing: Sealing, day: int, parent: str | None = None) -> Manifest:
    """Put a backup of a day into a repository, with the WAL since the day before: ten segments a day."""
    moment = BEGIN + timedelta(days=day)
    kind: Any = "full" if parent is None else "incremental"
    made = a_manifest(
        id=f"{moment:%Y%m%dT%H%M%SZ}-{kind}-0000",
        kind=kind,
        parent=parent,
        ended_at=moment.isoformat(),
        start_lsn=f"0/{10 * day:X}000028",
        stop_lsn=f"0/{10 * day + 1:X}000028",
    )
    for part in (made.base, made.files, made.configuration):
        place.store.put(place.name("backups", made.id, part.name), b"x")
    place.store.put(place.name("backups", made.id, "manifest.json"), pack(made, sealing.signer))
    for number in range(10 * day, 10 * day + 10):
        place.store.put(place.name("wal", f"{1:08X}{0:08X}{number:08X}"), b"x")
    place.store.put(place.name("wal", f"{1:08X}{0:08X}{10 * day:08X}.00000028.backup"), b"x")
    return made


def numbers(place: Repository) -> list[int]:
    names = (name.rpartition("/")[2] for name in place.store.names(place.name("wal", "")))
    return [int(name[16:24], 16) for name in names if "." not in name]


def proof(backup: str, **changes: Any) -> Proof:  # noqa: ANN401 - fields of a Proof
    fields: dict[str, Any] = {"target": "latest", "at": BEGIN.isoformat(), "seconds": 2.5, "tip": None, "checks": {}}
    return Proof(backup=backup, **(fields | changes))


def test_a_prune_takes_backups_their_proofs_and_wal_that_leads_nowhere(place: Repository, sealing: Sealing) -> None:
    made = [kept(place, sealing, day) for day in range(1, 6)]
    proofs.record(place, proof(made[0].id), sealing.signer)
    proofs.record(place, proof(made[1].id), sealing.signer)
    found = pruning.prune(place, sealing.trusted, TWO_DAYS)
    assert found.removed == [made[0].id, made[2].id]
    assert found.kept == {made[1].id: ["newest proven"], made[3].id: ["daily"], made[4].id: ["daily", "recent"]}
    assert place.ids() == [made[1].id, made[3].id, made[4].id]
    assert place.unfinished() == []
    assert numbers(place) == [20, 21, *range(40, 60)]
    assert found.wal_files == 30 - 2 + 2, "with the marks of two backups"
    assert place.store.names(place.name("proofs", made[0].id, "")) == []
    assert found.sentence == "removed 2 backups, 0 unfinished ones and 30 WAL files; 3 backups stay"
    again = pruning.prune(place, sealing.trusted, TWO_DAYS)
    assert (again.removed, again.wal_files) == ([], 0)


def test_a_plan_removes_nothing(place: Repository, sealing: Sealing) -> None:
    for day in range(1, 6):
        kept(place, sealing, day)
    before = place.store.names()
    found, files = pruning.plan(place, sealing.trusted, TWO_DAYS)
    assert len(found.removed) == 3
    assert found.wal_files == len(files) > 0
    assert place.store.names() == before


def test_what_another_one_builds_on_stays(place: Repository, sealing: Sealing) -> None:
    full = kept(place, sealing, 1)
    kept(place, sealing, 2)
    last = kept(place, sealing, 9, full.id)
    found = pruning.prune(place, sealing.trusted, Policy(recent=0, daily=1, weekly=0, monthly=0, yearly=0))
    assert place.ids() == [full.id, last.id]
    assert found.kept[full.id] == [f"needed by {last.id}"]


def test_backups_that_cannot_be_trusted_stay_for_somebody_to_look_at(place: Repository, sealing: Sealing) -> None:
    made = [kept(place, sealing, day) for day in range(1, 6)]
    place.store.put(place.name("backups", made[0].id, "manifest.json"), b"nonsense", replace=True)
    pruning.prune(place, sealing.trusted, TWO_DAYS)
    assert made[0].id in place.ids()
    _, bad = place.backups(sealing.trusted)
    assert [each.id for each in bad] == [made[0].id]


def test_without_a_backup_that_can_be_trusted_nothing_goes(place: Repository, sealing: Sealing) -> None:
    made = [kept(place, sealing, day) for day in range(1, 6)]
    before = place.store.names()
    found = pruning.prune(place, frozenset(), TWO_DAYS)
    assert (found.removed, found.wal_files, found.kept) == ([], 0, {})
    assert place.store.names() == before
    assert len(made) == 5


class _CutOff:
    """A store that gives out after some deletions, as when the process is killed there."""

    def __init__(self, store: Any, left: int) -> None:  # noqa: ANN401 - an ObjectStore
        self._store = store
        self._left = left

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        return getattr(self._store, name)

    def delete(self, name: str) -> None:
        self._left -= 1
        if self._left < 0:
            raise ObjectStoreError("cut off")
        self._store.delete(name)


def whole(place: Repository, trusted: Collection[bytes]) -> list[str]:
    """Return the finished backups, after requiring that each has its parts and what it builds on."""
    there, bad = place.backups(trusted)
    assert bad == []
    for each in there:
        for link in place.chain(each, trusted):
            for part in (link.base, link.files, link.configuration):
                assert place.store.size(place.name("backups", link.id, part.name))
    return [each.id for each in there]


@pytest.mark.parametrize("after", range(0, 40, 3))
def test_a_prune_that_is_cut_off_anywhere_leaves_whole_backups_and_is_gone_on_with(
    place: Repository, sealing: Sealing, after: int
) -> None:
    full = kept(place, sealing, 1)
    kept(place, sealing, 2, full.id)
    for day in range(3, 6):
        last = kept(place, sealing, day)
    try:
        pruning.prune(Repository(_CutOff(place.store, after), place.cluster), sealing.trusted, TWO_DAYS)
    except ObjectStoreError:
        assert last.id in whole(place, sealing.trusted)
    pruning.prune(place, sealing.trusted, TWO_DAYS)
    assert len(whole(place, sealing.trusted)) == 2
    assert numbers(place) == list(range(40, 60))


def test_proofs_are_read_in_their_order_and_the_last_that_held_counts(place: Repository, sealing: Sealing) -> None:
    made = kept(place, sealing, 1)
    later = (BEGIN + timedelta(days=1)).isoformat()
    for each in (proof(made.id), proof(made.id, at=later), proof(made.id, at="2027-01-01T00:00:00+00:00", failed="no")):
        proofs.record(place, each, sealing.signer)
    found = proofs.read(place, sealing.trusted)
    assert [each.failed for each in found[made.id]] == ["", "", "no"]
    assert proofs.proven(found) == {made.id: later}
    assert proofs.proven({made.id: found[made.id][2:]}) == {}
    assert proofs.read(place, frozenset()) == {}


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"[]"])
def test_a_signed_proof_that_is_none_proves_nothing(place: Repository, sealing: Sealing, body: bytes) -> None:
    made = kept(place, sealing, 1)
    place.store.put(place.name("proofs", made.id, "x.json"), sign(body, sealing.signer))
    assert proofs.read(place, sealing.trusted) == {}


def test_a_repository_is_begun_once_and_says_whose_it_is(place: Repository, sealing: Sealing) -> None:
    assert not place.is_begun
    with pytest.raises(BackupError, match=rf"has no backups of cluster {place.cluster}; make one first"):
        place.about(sealing.trusted)
    owner = Owner("local", "regtest", 102, 160)
    place.begin("prod", owner, sealing.signer)
    place.begin("other", None, sealing.signer)
    about = place.about(sealing.trusted)
    assert (about.environment, about.owner, place.is_begun) == ("prod", owner, True)
    assert str(about.owner) == "local (regtest from block 102)"
    assert clusters(place.store) == [place.cluster]
    other = Repository(place.store, "12")
    other.store.put(other.name("cluster.json"), place.store.get(place.name("cluster.json")))
    with pytest.raises(RefusedError, match=rf"is of another database cluster \({place.cluster}\)"):
        other.about(sealing.trusted)
    assert clusters(place.store) == sorted([place.cluster, "12"])


@pytest.mark.parametrize("url", ["", "/var/backups", "ftp://x/y", "s3://user:secret@bucket/x"])
def test_a_place_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BackupError, match=r"^the backup repository: ") as caught:
        opened(url)
    assert "secret" not in str(caught.value)
