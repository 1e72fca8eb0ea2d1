"""How answers decide what is to be done, and what they refuse to do."""

from __future__ import annotations

import json
import math
import time
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from runbooks.backup.books import back_up_database
from runbooks.backup.place import Backups
from runbooks.drivers.protocols import ServiceState
from runbooks.engine.attempt import look
from runbooks.engine.model import Halt, Unmet
from runbooks.maintenance.health import Finding
from runbooks.maintenance.verdict import Health, Verdict
from runbooks.response.books import api, backups, database, hosts, index, indexer, monitoring, node, security
from runbooks.response.database import Refusal, Refused
from runbooks.response.index import Fork
from tests.runbooks.engine.support import environment
from tests.runbooks.response.support import carried_out, context, says, step_of, with_prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.canned import Canned

AWAY = "http://127.0.0.1:9"


def _there(monkeypatch: pytest.MonkeyPatch, **states: str) -> None:
    found = [
        ServiceState(name=name.replace("_", "-"), group="api" if "api" in name else "", state=state, pid=1, detail="")
        for name, state in states.items()
    ]
    monkeypatch.setattr("runbooks.response.acts.services", lambda _: found)


def _rates(server: Canned, expression: str, **rates: float) -> None:
    samples = (({"instance": name.replace("_", "-")}, rate) for name, rate in rates.items())
    says(server, expression.replace("HERE", 'cluster="made-up"'), *samples)


def test_a_process_that_fails_alone_is_at_fault_and_not_one_of_many(
    server: Canned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _there(monkeypatch, api_1="running", api_2="running", haproxy="running")
    at = context(with_prometheus(server.url), tmp_path)
    for failed, answered, found in (
        ({"api_1": 5.0, "api_2": 0.0}, {"api_1": 10.0, "api_2": 10.0}, ["api-1"]),
        # A process that has never failed has no series of failures.
        ({"api_1": 5.0}, {"api_1": 10.0, "api_2": 10.0}, ["api-1"]),
        ({"api_1": 5.0, "api_2": 4.0}, {"api_1": 10.0, "api_2": 10.0}, []),
        ({}, {"api_1": 10.0, "api_2": 10.0}, []),
        # One that was asked nothing is neither well nor ill.
        ({"api_1": 5.0, "api_2": 0.0}, {"api_1": 10.0, "api_2": 0.0}, []),
        ({"api_1": 5.0, "api_2": math.nan}, {"api_1": 10.0, "api_2": math.nan}, []),
        ({"api_1": math.nan}, {"api_1": 10.0, "api_2": 10.0}, []),
        ({}, {}, []),
    ):
        _rates(server, api.FAILED, **failed)
        _rates(server, api.ANSWERED, **answered)
        assert api.failing(at) == found
    assert all('endpoint!~"/health.*|/metrics"' in each for each in (api.FAILED, api.ANSWERED)), "probes go well"


def test_without_prometheus_only_what_hangs_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _there(monkeypatch, api_1="not ready", api_2="running")
    assert api.failing(context(with_prometheus(AWAY), tmp_path)) == ["api-1"]


def _positions(monkeypatch: pytest.MonkeyPatch, *positions: tuple[int, int] | None) -> None:
    there = list(positions)

    def examine(*_: object, **__: object) -> list[Finding]:
        at = there.pop(0) if len(there) > 1 else there[0]
        facts = {} if at is None else {"tip_height": at[0], "node_height": at[1]}
        return [Finding("sync", Verdict(Health.HEALTHY, "", facts=facts), 1.0)]

    monkeypatch.setattr("runbooks.maintenance.health.examine", examine)


def test_a_writer_that_commits_nothing_though_the_node_is_ahead_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer, "STANDSTILL_SECONDS", 0.2)
    monkeypatch.setattr("runbooks.response.books.indexer.time.sleep", lambda _: time.monotonic())
    at = context(environment(), tmp_path)
    for states, positions, found in (
        ("running", [(5, 9)], ["sync"]),
        ("running", [(5, 9), (6, 9)], []),
        ("running", [(9, 9)], []),
        ("running", [None], []),
        ("not ready", [(5, 9)], ["sync"]),
    ):
        _there(monkeypatch, sync=states)
        _positions(monkeypatch, *positions)
        assert indexer.standing_still(at) == found


def test_a_fork_is_what_both_chains_have_above_their_last_common_block() -> None:
    assert Fork(tip=10, node_height=12, common=10, undo_from=5).depth == 0
    behind = Fork(tip=10, node_height=8, common=8, undo_from=5)
    assert (behind.depth, behind.is_too_deep) == (0, False)
    assert "the node is at block 8 only" in behind.sentence
    shallow = Fork(tip=10, node_height=12, common=7, undo_from=5)
    assert (shallow.depth, shallow.is_too_deep) == (3, False)
    assert "sync takes them back by itself" in shallow.sentence
    deep = Fork(tip=10, node_height=12, common=3, undo_from=5)
    assert (deep.depth, deep.is_too_deep) == (7, True)
    assert "deeper than what sync can take back" in deep.sentence


class _Mending:
    """An index whose fork is as it is said, and what is done about it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, common: int, *, fails: str = "") -> None:
        self.done: list[object] = []
        self.common, self._fails = common, fails
        monkeypatch.setattr("runbooks.response.index.fork", lambda _: Fork(10, 12, self.common, 5))
        monkeypatch.setattr("runbooks.response.index.mended", self.mended)
        monkeypatch.setattr(index, "drive", lambda _, action, name, _key: self.done.append(f"{action} {name}"))

    def mended(self, _: object, from_height: int) -> Any:  # noqa: ANN401 - an outcome
        self.done.append(from_height)
        if self._fails:
            raise Halt(self._fails)
        self.common = 10
        return SimpleNamespace(plan=SimpleNamespace(good=from_height - 1, stood=10))


MEND = step_of(index.REORG, "mend")


def test_an_index_on_a_chain_that_was_left_is_mended_from_the_last_common_block_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = _Mending(monkeypatch, common=3)
    _, seen = carried_out(MEND, context(environment(), tmp_path, arguments={"mend": "yes"}))
    assert there.done == ["stop sync", 4, "start sync"]
    assert seen == "kept up to block 3 of 10; sync indexes the rest anew"
    # A process that comes after one killed in the middle does the same, though the fork is gone by now.
    carried_out(MEND, context(environment(), tmp_path, arguments={"mend": "yes"}))
    assert there.done[3:] == ["stop sync", 4, "start sync"]


def test_nothing_is_mended_that_was_not_asked_for_or_that_sync_mends_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = _Mending(monkeypatch, common=3)
    _, seen = carried_out(MEND, context(environment(), tmp_path, arguments={"mend": "no"}))
    assert (there.done, seen) == ([], "nothing was changed, as mend=no")
    there = _Mending(monkeypatch, common=7)
    _, seen = carried_out(MEND, context(environment(), tmp_path, arguments={"mend": "yes"}))
    assert (there.done, seen) == (["start sync"], "there is nothing to mend")
    with pytest.raises(Unmet, match="it is not done"):
        MEND.check(context(environment(), tmp_path))


def test_sync_is_started_again_though_mending_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = _Mending(monkeypatch, common=3, fails="no room")
    with pytest.raises(Halt, match="no room"):
        MEND.act(context(environment(), tmp_path, step="mend", arguments={"mend": "yes"}))
    assert there.done == ["stop sync", 4, "start sync"]


def test_the_index_has_to_be_on_the_nodes_chain_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = context(environment(), tmp_path)
    look = index.REORG.verify[1]
    with pytest.raises(Unmet, match="no backups of this kind"):
        look.see(at)
    there = _Mending(monkeypatch, common=3)
    with pytest.raises(Unmet, match="7 blocks after block 3"):
        look.see(at)
    there.common = 10
    assert "is on the node's chain" in look.see(at)


def test_an_environment_without_what_is_needed_stops_the_step_with_a_line(tmp_path: Path) -> None:
    at = context(environment(), tmp_path)
    assert index.REORG.diagnosis[-1].see(at).startswith("cannot be told: made-up has no backups of this kind")
    with pytest.raises(Halt, match="no backups of this kind"):
        step_of(index.MISMATCH, "recompute").act(at)
    with pytest.raises(Halt, match="names no secret 'database_backup_password'"):
        step_of(backups.AUDIT, "examine").act(at)
    with pytest.raises(Halt, match="names no secret 'database_backup_password'"):
        step_of(backups.AUDIT, "copy").act(at)
    with pytest.raises(Halt, match="no secret 'database_writer_password'"):
        step_of(security.RUNBOOK, "revoke").act(context(environment(), tmp_path, arguments={"key": "0" * 12}))
    assert backups.SEE.see(at).startswith("the repository cannot be read: ")


def test_a_diagnosis_of_what_is_in_a_database_that_is_away_keeps_nobody_from_the_answer(tmp_path: Path) -> None:
    at = context(environment(), tmp_path)
    for book in (security.RUNBOOK, backups.WAL, backups.TOO_OLD, database.PRESSURE, index.REORG):
        for each in book.diagnosis:
            if "services are" not in each.title:  # without a driver nobody could restart anything either
                assert not look(each, at)[1], f"{book.name}: {each.title}"
    assert "cannot be told: " in security.RUNBOOK.diagnosis[-1].see(at)
    assert "cannot be told: " in backups.WAL.diagnosis[2].see(at)


def test_what_was_recomputed_is_told(tmp_path: Path) -> None:
    check = step_of(index.MISMATCH, "recompute").check
    wrong = {"consistent": False, "wrong_from": 7, "counts": {"blocks": 1}}
    assert check(context(environment(), tmp_path, facts=wrong)) == (
        "good up to the block before 7; rows that differ: {'blocks': 1}"
    )
    assert "are what the rules make" in check(context(environment(), tmp_path, facts=wrong | {"consistent": True}))


def _logins(monkeypatch: pytest.MonkeyPatch, kind: Refusal | None) -> None:
    refused = None if kind is None else Refused(kind, "it says why", "reader_secret")
    monkeypatch.setattr("runbooks.response.database.logins", lambda _: {"w": None, "r": refused})


def test_a_database_is_restarted_where_it_does_not_answer_or_its_start_mends_what_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = context(environment(), tmp_path)
    _there(monkeypatch, postgresql="fatal")
    _logins(monkeypatch, Refusal.OTHER)
    assert database.refused(at) == ["postgresql"]
    _there(monkeypatch, postgresql="running")
    for kind, found in ((Refusal.PASSWORD, ["postgresql"]), (None, [])):
        _logins(monkeypatch, kind)
        assert database.refused(at) == found


@pytest.mark.parametrize(
    ("kind", "place", "says"),
    [
        (Refusal.SECRET, "local", "put the secret reader_secret back, then resume"),
        (Refusal.FULL, "local", "`simplicity runbook run answer-database-pressure` first"),
        (Refusal.OTHER, "local", "a restart is no way out of that by itself"),
        (Refusal.PASSWORD, "fleet", "no start sets passwords here: put the secret reader_secret right"),
    ],
)
def test_a_database_that_runs_is_not_restarted_for_what_a_restart_does_not_mend(
    kind: Refusal, place: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _there(monkeypatch, postgresql="running")
    _logins(monkeypatch, kind)
    at = context(environment().model_copy(update={"place": place}), tmp_path)
    with pytest.raises(Halt, match=f"^r: it says why; .*{says}"):
        database.refused(at)


def test_a_secret_that_is_missing_is_named_and_nobody_counts_as_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = context(environment(), tmp_path)
    _there(monkeypatch, postgresql="running")
    with pytest.raises(Halt, match="names no secret 'database_writer_password'; put the secret database_writer_"):
        database.refused(at)
    with pytest.raises(Unmet, match="w: environment made-up names no secret"):
        database.DOWN.verify[0].see(at)


def _event(message: str, **parts: object) -> str:
    usual = {"logger": security.LOGGER, "message": message, "client": "10.0.0.1", "user_id": None, "detail": "unknown"}
    return json.dumps(usual | parts)


def test_who_is_in_the_security_log_is_counted_whatever_else_is_there(tmp_path: Path) -> None:
    lines = [
        *[_event("authentication_failed")] * 3,
        _event("authentication_failed", client="10.0.0.2"),
        _event("authentication_failed", client=None, unlogged=40),
        _event("rate_limited", user_id="3f9a1c5b7d20"),
        json.dumps({"logger": "simplicity.access", "message": "x"}),
        "no json",
        "[1]",
    ]
    path = tmp_path / "api-1.log"
    path.write_text("\n".join(lines))
    found = security.counted(security.tail(path))
    assert [(each["client"], each["count"]) for each in found["authentication_failed"]] == [
        ("None", 40),
        ("10.0.0.1", 3),
        ("10.0.0.2", 1),
    ]
    assert found["rate_limited"][0]["who"] == "3f9a1c5b7d20"
    assert security.tail(path, 3) == ["[1]"]
    assert security.tail(tmp_path / "none") == []


def test_the_logs_of_other_places_are_named_and_not_read(tmp_path: Path) -> None:
    from runbooks.response import host  # noqa: PLC0415 - a book imports it late too
    from runbooks.response.books.security import _who  # noqa: PLC0415 - a part of the evidence

    at = context(environment().model_copy(update={"place": "fleet"}), tmp_path)
    assert _who(at) == "the logs are on the API's hosts"
    assert host.busiest(at) == host.disks(at) == host.ELSEWHERE


def test_a_key_that_is_live_after_all_fails_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    revoke = step_of(security.RUNBOOK, "revoke")
    at = context(environment(), tmp_path, arguments={"key": "0" * 12})
    with pytest.raises(Unmet, match="is not revoked yet"):
        revoke.check(at)
    monkeypatch.setattr("runbooks.response.keys.listed", lambda _: [{"id": "0" * 12, "ended": ""}])
    with pytest.raises(Halt, match="is live still"):
        revoke.check(context(environment(), tmp_path, arguments={"key": "0" * 12}, facts={"revoked": "name"}))


def _offsets(server: Canned, **offsets: float) -> None:
    expression = hosts.OFFSETS.replace("HERE", 'cluster="made-up"')
    says(server, expression, *(({"instance": name.replace("_", "-")}, value) for name, value in offsets.items()))


def test_a_process_with_a_clock_of_its_own_is_restarted(
    server: Canned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _there(monkeypatch, api_1="running", api_2="running", sync="running")
    _offsets(server, api_1=-3600.0, api_2=0.3, sync=4.9)
    assert hosts.wrong_clocks(context(with_prometheus(server.url), tmp_path)) == ["api-1"]
    _offsets(server, api_1=-3600.0, api_2=-90.0, sync=math.nan)
    assert hosts.wrong_clocks(context(with_prometheus(server.url), tmp_path)) == ["api-1", "api-2"], "each its own"
    _offsets(server)
    assert hosts.wrong_clocks(context(with_prometheus(server.url), tmp_path)) == []
    with pytest.raises(Halt, match="which clock is wrong cannot be told"):
        hosts.wrong_clocks(context(with_prometheus(AWAY), tmp_path))


def test_a_clock_that_is_wrong_for_all_is_the_machines_and_nothing_is_restarted(
    server: Canned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _there(monkeypatch, api_1="running", api_2="running", sync="running")
    at = context(with_prometheus(server.url), tmp_path)
    _offsets(server, api_1=-60.3, api_2=-60.0, sync=-58.1)
    with pytest.raises(
        Halt, match=r"all 3 processes are -60 s from Prometheus: it is their machine's .*chronyc makestep"
    ):
        hosts.wrong_clocks(at)
    _offsets(server, api_1=60.0)
    with pytest.raises(Halt, match="all 1 processes are"):
        hosts.wrong_clocks(at)


def _rules(server: Canned, *names: str) -> None:
    rules = [{"name": name, "type": "alerting"} for name in names]
    server.answers["/api/v1/rules"] = (200, {"status": "success", "data": {"groups": [{"rules": rules}]}})


def test_the_heartbeat_has_to_fire_and_to_be_heard(server: Canned, tmp_path: Path) -> None:
    look = monitoring.RUNBOOK.verify[1]
    at = context(with_prometheus(server.url), tmp_path)
    with pytest.raises(Unmet, match="with what is no answer"):
        look.see(at)
    _rules(server, "ApiDown")
    assert look.see(at) == "there is no heartbeat among the rules of this Prometheus"
    _rules(server, "ApiDown", "Watchdog")
    where = '{alertname=~"Watchdog",cluster=~"made-up|"}'
    heard = monitoring.LAST_HEARD.replace("HERE", 'cluster="made-up"')
    for expression in (f"ALERTS{where}", f"ALERTS_FOR_STATE{where}", heard):
        says(server, expression)
    with pytest.raises(Unmet, match="does not fire"):
        look.see(at)
    says(server, f"ALERTS{where}", ({"alertname": "Watchdog", "alertstate": "firing"}, 1.0))
    assert "nobody here tells when it was last heard" in look.see(at)
    says(server, heard, ({}, time.time() - 10_000))
    with pytest.raises(Unmet, match=r"was last heard 1000\d s ago"):
        look.see(at)
    says(server, heard, ({}, time.time() - 5))
    assert "fires and was heard" in look.see(at)


def test_rules_that_cannot_be_evaluated_are_named(server: Canned, tmp_path: Path) -> None:
    rules = [{"name": "Bad", "lastError": "many-to-many"}, {"name": "Good"}]
    server.answers["/api/v1/rules"] = (200, {"status": "success", "data": {"groups": [{"rules": rules}]}})
    targets = [{"labels": {"job": "j", "instance": "i"}, "health": "down", "lastError": "refused"}]
    server.answers["/api/v1/targets?state=active"] = (
        200,
        {"status": "success", "data": {"activeTargets": [*targets, {"health": "up"}]}},
    )
    facts, _ = carried_out(step_of(monitoring.RUNBOOK, "evidence"), context(with_prometheus(server.url), tmp_path))
    kept = json.loads((tmp_path / "evidence.json").read_text())
    assert facts["evidence"] == str(tmp_path / "evidence.json")
    assert kept["broken_rules"] == {"Bad": "many-to-many"}
    assert kept["down"] == [{"job": "j", "instance": "i", "error": "refused"}]
    assert "cannot be told" in kept["alertmanagers"]


def test_a_gap_in_the_wal_wants_a_new_backup(server: Canned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(back_up_database, "make", lambda _: {"backup": "b"})
    monkeypatch.setattr(back_up_database, "is_there", lambda _: "it is there")
    missing = backups.MISSING.replace("HERE", 'cluster="made-up"')
    step = step_of(backups.WAL, "make")
    for values, makes in (((2.0,), True), ((0.0,), False), ((), True)):
        says(server, missing, *(({}, value) for value in values))
        at = context(with_prometheus(server.url), tmp_path, arguments={"make": "auto", "kind": "full"})
        facts, seen = carried_out(step, at)
        assert (facts["backup"], seen) == (("b", "it is there") if makes else ("", "no backup was to be made"))
    at = context(with_prometheus(AWAY), tmp_path, arguments={"make": "auto", "kind": "full"})
    assert carried_out(step, at)[0] == {"backup": "b"}, "where nobody can tell, a backup does no harm"


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def test_wal_that_is_not_archived_stops_the_run_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = SimpleNamespace(archive_now=lambda _: "the live database has not archived 0001 within 5 s")
    monkeypatch.setattr(backups, "engine", lambda _: driver)
    monkeypatch.setattr(backups, "told", _nothing)
    archive = step_of(backups.WAL, "archive")
    with pytest.raises(Halt, match="has not archived 0001 within 5 s; `simplicity logs postgresql` says why"):
        archive.act(context(environment(), tmp_path))
    with pytest.raises(Unmet, match="nothing has been archived yet"):
        archive.check(context(environment(), tmp_path))


def test_a_trail_that_contradicts_its_copy_is_nothing_to_copy(tmp_path: Path) -> None:
    copy = step_of(backups.AUDIT, "copy")
    facts = {"forged": True, "verdict": "entry 3 was changed"}
    with pytest.raises(Halt, match="entry 3 was changed; this is for whoever answers for security"):
        copy.act(context(environment(), tmp_path, facts=facts))
    with pytest.raises(Unmet, match="nothing has been copied yet"):
        copy.check(context(environment(), tmp_path))


def test_an_environment_without_a_second_place_of_the_trail_says_so() -> None:
    from runbooks.response.trail import _anchor  # noqa: PLC0415 - what examined() begins with

    with pytest.raises(Halt, match="made-up has no second place of the trail"):
        _anchor(Backups(environment()), "1")


def test_files_that_a_proof_left_behind_keep_the_step_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "r-prove").mkdir()
    monkeypatch.setattr("runbooks.backup.engine.restored_folder", lambda run: tmp_path / run)
    with pytest.raises(Unmet, match="r-prove is still there"):
        step_of(backups.TOO_OLD, "clean-up").check(context(environment(), tmp_path))


def test_a_node_that_does_not_answer_is_told_method_by_method(tmp_path: Path) -> None:
    (tmp_path / "cookie").write_text("user:password")
    from infra.environment import SecretReference  # noqa: PLC0415 - only this test names a secret

    secret = {"node_rpc_cookie": SecretReference(source="file", name=str(tmp_path / "cookie"))}
    found = node.ask_node(context(environment().model_copy(update={"secrets": secret}), tmp_path))
    assert found == dict.fromkeys(node.METHODS, "no answer: ConnectError")
