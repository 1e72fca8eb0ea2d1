"""Backups of a live envelope, by the commands that operators use."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.envelope import SIMPLICITY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.prove.backups.site import Site

pytestmark = pytest.mark.xdist_group("backup-envelope")  # one worker has the envelope


def test_a_restore_to_a_height_is_proven_beside_the_live_database_and_can_be_looked_at(here: Site) -> None:
    height = here.tip()
    here.reaches(height + 3, within=60)
    done = here.done("backup", "restore", f"--to={height}")
    proof = done["facts"]["proof"]
    state = here.get(f"/v1/indexer/state/{height}")
    assert proof["tip"] == {
        "height": height,
        "block_hash": state["block_hash"],
        "state_hash": state["state_hash"],
        "state_digest": state["state_digest"],
    }
    assert set(proof["checks"]) == {"trail", "operating data", "recorded", "recomputed", "replayed", "caught up"}
    listed = here.done("backup", "list")["backups"]
    assert [each["proven"] for each in listed if each["id"] == proof["backup"]] == [True]
    assert _tip_of(proof["folder"]) == height


def _tip_of(folder: str) -> int:
    """Open a restored database as a person does, and ask it."""
    command = [str(SIMPLICITY), "backup", "open", folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as opened:
        try:
            assert opened.stdout is not None
            url = opened.stdout.readline().strip()
            with psycopg.connect(url) as connection:
                row = connection.execute("SELECT tip_height FROM index.chain").fetchone()
        finally:
            opened.send_signal(signal.SIGINT)
            opened.wait(60)
    assert row is not None
    return int(row[0])


def test_a_height_that_nobody_recorded_is_refused_and_nothing_is_left(here: Site) -> None:
    before = set((here.home / "restored").glob("*")) if (here.home / "restored").exists() else set()
    done = here.run("backup", "restore", "--to=999999", timeout=120)
    assert done.returncode == 4, done.stderr
    assert "block 999999 was not recorded by the backup agent (blocks up to " in done.stdout + done.stderr
    assert set((here.home / "restored").glob("*")) == before


def test_a_wrong_target_is_one_line(here: Site) -> None:
    done = here.run("backup", "restore", "--to=yesterday")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "say latest, a height, a block hash, or a time with its zone" in done.stderr


def test_replacing_the_live_database_asks_first(here: Site) -> None:
    done = here.run("backup", "restore", "--replace-live")
    assert done.returncode == 1
    assert "nothing was done; repeat it with --yes" in done.stderr
    assert "take-place" in done.stdout + done.stderr, "the dry run says what would be done"
    assert here.is_up()


def test_a_restored_database_takes_the_live_ones_place_and_keys_made_since_are_told_and_gone(here: Site) -> None:
    height = here.tip()
    here.reaches(height + 3, within=60)
    late = here.key("too-late")
    here.anchored()
    done = here.done("backup", "restore", f"--to={height}", "--replace-live", "--yes")
    lost = done["facts"]["proof"]["lost"]
    assert any("auth.keys.create" in line and late in line for line in lost), lost
    here.reaches(here.tip() + 2, within=60)
    keys = here.done("auth", "keys", "list", f"--env-file={here.env_file}")
    assert late not in json.dumps(keys)
    here.anchored()
    anchor = here.environment.drivers["audit"].settings["url"]
    verified = here.run("audit", "verify", f"--anchor={anchor}", f"--env-file={here.env_file}")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    shown = here.run("audit", "show", "--action=backup.restored", f"--env-file={here.env_file}", "--json")
    assert json.loads(shown.stdout)[-1]["after"]["ops_as_of"] > 0
    # The next restore folds the trail over this one.
    here.done("backup", "verify", "--prove", done["facts"]["backup"])


def test_the_configuration_of_a_backup_is_the_environments_without_the_backups_own_keys(
    here: Site, tmp_path: Path
) -> None:
    backup = here.done("backup", "list")["backups"][-1]["id"]
    done = here.run("backup", "configuration", backup, str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    names = set(done.stdout.split())
    assert {"environment.json", "indexer.env", "secrets/auth_key_ring", "secrets/auth_pepper"} <= names
    assert (tmp_path / "out" / "secrets" / "auth_pepper").read_text() == here.environment.secret("auth_pepper") + "\n"
    identity = (here.backups.keys / "identity").read_text().strip()
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file() and identity in path.read_text()]


@pytest.mark.proof
def test_a_database_that_is_gone_comes_back_into_its_place(here: Site) -> None:
    here.reaches(here.tip() + 2, within=60)
    here.anchored()
    assert "is archived" in here.backups.source.archive_now(within=60)
    last = here.tip()
    here.lose_the_database()
    done = here.done("backup", "restore", "--replace-live", "--yes")
    assert done["facts"]["proof"]["tip"]["height"] >= last
    here.up()
    here.reaches(last + 5, within=60)
    assert here.run("maintenance", "health").returncode == 0
