from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from infra.fleet.document import document_of
from infra.fleet.plan import Plan
from infra.fleet.storage import Storage
from runbooks.backup import pgbackrest, pgbackrest_info
from runbooks.backup.engines import engine_of, is_on_hosts
from runbooks.backup.errors import BackupError, RefusedError
from runbooks.backup.pgbackrest import PgBackRestEngine
from runbooks.backup.remote_scratch import ROOT, RemoteScratch
from runbooks.drivers.operations import OperationStore
from runbooks.drivers.protocols import Phase, Refusal
from runbooks.drivers.remote import Remote, RemoteError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from infra.environment import Environment

FULL = "20261130-152719F"
DIFFERENTIAL, INCREMENTAL = f"{FULL}_20261130-152721D", f"{FULL}_20261130-152724I"
HASH = "ab" * 31 + "01"


def backup(label: str, kind: str, at: int, prior: str | None = None, **annotation: str) -> dict[str, Any]:
    return {
        "label": label,
        "type": kind,
        "prior": prior,
        "timestamp": {"start": at, "stop": at + 2},
        "info": {"size": 1_000_000, "delta": 9, "repository": {"delta": 100_000, "size-map": 3}},
        "annotation": annotation,
        "error": False,
    }


def info(*backups: dict[str, Any], code: int = 0, message: str = "ok") -> str:
    return json.dumps([{"name": "fleet", "status": {"code": code, "message": message}, "backup": backups}])


THREE = (
    backup(FULL, "full", 1_796_052_439),
    backup(DIFFERENTIAL, "diff", 1_796_052_441, FULL),
    backup(INCREMENTAL, "incr", 1_796_052_444, DIFFERENTIAL, **{"tip-height": "12", "proven-at": "2026-11-30"}),
)


def test_what_the_repository_holds_is_told_in_the_words_of_the_protocol() -> None:
    made = [each.backup() for each in pgbackrest_info.read(info(*THREE[::-1]), "fleet")]
    assert [each.kind for each in made] == ["full", "differential", "incremental"]
    assert [each.parent for each in made] == [None, FULL, DIFFERENTIAL]
    assert made[0].started_at == "2026-11-30T15:27:19+00:00"
    assert (made[0].size, made[0].data_size) == (100_000, 1_000_000)
    assert [each.tip_height for each in made] == [None, None, 12]
    assert [each.proven_at for each in made] == [None, None, "2026-11-30"]


def test_a_backup_with_errors_in_it_is_none() -> None:
    assert not pgbackrest_info.read(info({**THREE[0], "error": True}), "fleet")


@pytest.mark.parametrize(("code", "message"), [(1, "missing stanza path"), (2, "no valid backups")])
def test_a_repository_without_backups_has_none(code: int, message: str) -> None:
    assert pgbackrest_info.read(info(code=code, message=message), "fleet") == []


def test_a_repository_that_cannot_be_used_is_told() -> None:
    with pytest.raises(BackupError, match="different across repos"):
        pgbackrest_info.read(info(code=5, message="different across repos"), "fleet")
    with pytest.raises(BackupError, match="is none"):
        pgbackrest_info.read("ERROR", "fleet")


def test_a_backup_builds_on_others() -> None:
    made = pgbackrest_info.read(info(*THREE), "fleet")
    assert pgbackrest_info.chain(made, INCREMENTAL) == [FULL, DIFFERENTIAL, INCREMENTAL]
    assert pgbackrest_info.chain(made, "moon") == []


def verified(*, backup_status: str = "valid", valid: int = 10, status: str = "ok") -> str:
    return (
        f"stanza: fleet\nstatus: {status}\n  archiveId: 17-1, total WAL checked: 10, total valid WAL: {valid}\n"
        f"    missing: 0, checksum invalid: {10 - valid}, size invalid: 0, other: 0\n"
        f"  backup: {FULL}, status: {backup_status}, total files checked: 9, total valid files: 9\n"
    )


def test_what_was_read_is_whole_where_every_file_is() -> None:
    assert pgbackrest_info.verified(verified(), FULL) == 10


@pytest.mark.parametrize("wrong", [{"backup_status": "invalid"}, {"valid": 9}, {"status": "error"}])
def test_what_is_damaged_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="damaged"):
        pgbackrest_info.verified(verified(**wrong), FULL)


def test_a_backup_that_was_not_read_is_not_whole() -> None:
    with pytest.raises(RefusedError, match="damaged"):
        pgbackrest_info.verified(verified(), DIFFERENTIAL)


@dataclass
class Hosts(Remote):
    """Two database hosts, of which db2 leads, and their repository."""

    roles: Any = None
    backups: list[dict[str, Any]] = field(default_factory=list)
    busy: int = 0
    dies: bool = False
    leader: str = "db2"
    away: set[str] = field(default_factory=set)
    told: list[tuple[str, list[str]]] = field(default_factory=list)

    def hosts(self, role: str) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self.roles[role]
        return found

    def run(self, host: str, argv: Sequence[str], stdin: str | None = None, within: float = 60) -> str:
        assert within > 0
        if host in self.away:
            raise UnreachableError(f"{host} does not answer")
        words = list(argv[argv.index("--") + 1 :])
        self.told.append((host, words))
        if words[0] == "python3":
            return json.dumps([200, json.dumps({"members": [self._member("db1"), self._member("db2")]})])
        if words[0] == "psql":
            return f"12 {bytes.fromhex(HASH)[::-1].hex()}\n" if "index.chain" in str(stdin) else "t\n"
        if words[-1] == "info":
            return info(*self.backups) if self.backups else info(code=2, message="no valid backups")
        if words[-1] == "backup":
            return self._back_up(words)
        if words[-1] == "expire":
            del self.backups[0]
        return ""

    def _member(self, name: str) -> dict[str, Any]:
        leads = name == self.leader
        return {"name": name, "role": "leader" if leads else "replica", "state": "running" if leads else "streaming"}

    def _back_up(self, words: list[str]) -> str:
        if self.busy:
            self.busy -= 1
            raise RemoteError("db2: pgbackrest: ERROR: [050]: unable to acquire lock on file '/tmp/x.lock'")
        notes = dict(word.removeprefix("--annotation=").split("=", 1) for word in words if "--annotation" in word)
        kind = next(word.partition("=")[2] for word in words if word.startswith("--type"))
        self.backups.append(backup(f"20261130-16000{len(self.backups)}F", kind, 1_796_060_000, **notes))
        if self.dies:
            self.dies = False
            raise KeyboardInterrupt
        return ""


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return document_of(Plan(), Storage(tmp_path))


@pytest.fixture
def hosts(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    made = Hosts(roles=environment.hosts)
    monkeypatch.setattr("runbooks.drivers.patroni_api.Remote", lambda _: made)
    monkeypatch.setattr(pgbackrest, "POLL_SECONDS", 0.01)
    return made


@pytest.fixture
def engine(environment: Environment, hosts: Hosts, tmp_path: Path) -> PgBackRestEngine:
    return PgBackRestEngine(environment, OperationStore(tmp_path / "operations"), hosts)


def backed_up(hosts: Hosts) -> list[tuple[str, list[str]]]:
    return [(host, words) for host, words in hosts.told if words[-1] == "backup"]


@pytest.mark.parametrize(("kind", "theirs"), [("full", "full"), ("differential", "diff"), ("incremental", "incr")])
def test_a_backup_is_made_on_the_host_that_leads_with_the_tip_it_holds(
    engine: PgBackRestEngine,
    hosts: Hosts,
    kind: Any,  # noqa: ANN401 - one of three words
    theirs: str,
) -> None:
    engine.create("key", kind)
    done = engine.poll("key")
    assert done.phase is Phase.DONE, done.detail
    ((host, words),) = backed_up(hosts)
    assert host == "db2"
    assert f"--type={theirs}" in words
    (made,) = engine.backups()
    assert (made.id, made.tip_height, made.tip_hash) == (done.result["backup"], 12, HASH)


def test_a_killed_process_has_its_backup_found_by_the_next_one(engine: PgBackRestEngine, hosts: Hosts) -> None:
    hosts.dies = True
    engine.create("key", "full")
    with pytest.raises(KeyboardInterrupt):
        engine.poll("key")
    assert engine.poll("key").phase is Phase.DONE
    assert len(backed_up(hosts)) == 1


def test_it_waits_while_another_backup_is_made(engine: PgBackRestEngine, hosts: Hosts) -> None:
    hosts.busy = 2
    engine.create("key", "full")
    assert engine.poll("key").phase is Phase.DONE
    assert len(backed_up(hosts)) == 3


def test_another_kind_is_refused(engine: PgBackRestEngine) -> None:
    kind: Any = "partial"
    with pytest.raises(Refusal, match="there are no partial backups"):
        engine.create("key", kind)


def test_no_leader_is_a_failure_that_says_what_was_seen(engine: PgBackRestEngine, hosts: Hosts) -> None:
    hosts.leader = "nobody"
    engine.create("key", "full")
    done = engine.poll("key")
    assert done.phase is Phase.FAILED
    assert "no database server leads: db1 is replica (streaming)" in done.detail


def test_the_repository_is_read_by_whichever_host_answers(engine: PgBackRestEngine, hosts: Hosts) -> None:
    hosts.backups += THREE
    hosts.away.add("db1")
    assert len(engine.backups()) == 3
    hosts.away.add("db2")
    with pytest.raises(BackupError, match="cannot be read"):
        engine.backups()


def test_a_prune_says_what_it_removed(engine: PgBackRestEngine, hosts: Hosts) -> None:
    hosts.backups += THREE
    engine.prune("key")
    done = engine.poll("key")
    assert done.result["removed"] == [FULL]
    assert done.result["kept"] == [DIFFERENTIAL, INCREMENTAL]


@pytest.mark.parametrize("target", ["901350", "ab" * 32, "yesterday"])
def test_a_restore_goes_to_the_end_or_to_a_moment(engine: PgBackRestEngine, target: str) -> None:
    with pytest.raises(Refusal, match="say latest"):
        engine.restore("key", None, target)


def test_a_restore_to_a_moment_before_the_first_backup_is_refused(engine: PgBackRestEngine, hosts: Hosts) -> None:
    hosts.backups += THREE
    engine.restore("key", None, "2026-11-30T15:27:00Z")
    done = engine.poll("key")
    assert done.phase is Phase.FAILED
    assert "no backup leads to" in done.detail


def test_a_restore_takes_nothing_from_the_live_servers_spool_and_archives_nothing(hosts: Hosts) -> None:
    scratch = RemoteScratch(hosts, "db1", "fleet", "run-restore")
    scratch.fetch(["--set=x", "--type=default"], within=5)
    (words,) = [words for _, words in hosts.told if words[-1] == "restore"]
    assert "--archive-mode=off" in words
    assert any("--no-archive-async" in word for word in words)
    assert f"--pg1-path={ROOT}/run-restore/data" in words


def test_the_socket_of_a_restored_server_is_short_enough_for_any_key(hosts: Hosts) -> None:
    assert len(RemoteScratch(hosts, "db1", "fleet", "k" * 100).socket) < 100


def test_an_environment_chooses_its_engine(environment: Environment, tmp_path: Path) -> None:
    assert is_on_hosts(environment)
    assert isinstance(engine_of(environment, OperationStore(tmp_path)), PgBackRestEngine)
    assert not is_on_hosts(environment.model_copy(update={"drivers": {}}))
