"""Releases under load: forward, back, and those that must never reach anybody."""

from __future__ import annotations

import json
import os
import shlex
import signal
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.prove.deploy import variants as of
from tests.prove.deploy.leading import leader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.prove.backups.figures import Figures
    from tests.prove.deploy.site import Site
    from tests.prove.deploy.variants import Variants

ROWS = 500_000
RELEASE_MOST, MIGRATION_MOST, BACK_MOST, BACK_AIM = 180.0, 60.0, 60.0, 10.0
WITHIN_SLO, LIMIT_SECONDS = 95.0, 0.02
QUICK = ("--watch-seconds=15", "--watch-requests=500", "--stage-seconds=3")
REVIEWED = "--yes"
ROWS_SQL = (
    "INSERT INTO ops.orphaned_blocks (hash, height, fork_height, fork_hash, orphaned_at)"
    " SELECT sha256(n::text::bytea), 2, 1, sha256(n::text::bytea), now() - interval '1 day'"
    " FROM generate_series(1, :rows) AS n ON CONFLICT DO NOTHING"
)
TAKEN_BACK = 4
MOST_SLOW = 30.0  # percent of the answers, until the watch has seen enough of them
KILL_AT = ("install", "traffic")


def prove(figures: Figures, site: Site, variants: Variants) -> None:
    """Go forward and back, then try what is not fit to run, and kill the control node in the middle."""
    first = live_release(site)
    _back_up(figures, site)
    sql(site, ROWS_SQL.replace(":rows", str(ROWS)))
    second = variants.build("next", of.answers_otherwise, of.migrates_a_large_table)
    watched = QUICK if variants.quick else ()
    _forward(figures, site, variants, second, watched)
    key = _make_key(site)
    state = _state(site)
    _back(figures, site, variants, first, second)
    _reads(figures, site, key, state)
    if not variants.quick:
        _plain(figures, site, variants)
    _refused(figures, site, variants)
    if not variants.quick:
        _killed(figures, site, variants, second, watched)


def live_release(site: Site) -> str:
    """Return the release that has all traffic."""
    said = site.done("deploy", "status")
    assert said["good"], json.dumps(said)[:1500]
    return str(next(iter(said["hosts"].values()))["releases"][said["live"]])


def sql(site: Site, text: str) -> str:
    """Run a statement on the database that leads, as its superuser."""
    name = site.environment.endpoints.database.name
    return site.ssh(leader(site), "sudo", "-u", "postgres", "psql", "-XtA", "-d", name, "-c", shlex.quote(text))


def unharmed(figures: Figures, what: str, seen: Mapping[str, Any]) -> None:
    """Note that clients lost nothing; that they asked is part of it."""
    answer = f"{seen['failed']} of {seen['requests']} {seen['failures'][:3] if seen['failed'] else ''}".strip()
    figures.add(f"requests failed while {what}", answer, "0", holds=seen["failed"] == 0 < seen["requests"])


def _back_up(figures: Figures, site: Site) -> None:
    made = site.done("backup", "create", within=900)
    backup = str(made["facts"]["backup"])
    site.done("backup", "verify", "--prove", backup, within=900)
    found = [each for each in site.done("backup", "list")["backups"] if each["id"] == backup and each["proven_at"]]
    figures.count("backups on the fleet, restored and found equal", len(found), 1)


def _released(
    site: Site, variants: Variants, name: str, release: str, *watched: str
) -> tuple[Mapping[str, Any], float]:
    """Release it under load; return what clients saw, and how many seconds it took."""
    with site.load(variants.folder / f"{name}.json", variants.rate) as seen:
        began = time.monotonic()
        done = site.run("deploy", "release", release, REVIEWED, *watched, "--json")
        seconds = time.monotonic() - began
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]
    return seen, seconds


def _forward(figures: Figures, site: Site, variants: Variants, release: str, watched: tuple[str, ...]) -> None:
    seen, seconds = _released(site, variants, "forward", release, *watched)
    what, most = f"a release that migrates {ROWS} rows", RELEASE_MOST + MIGRATION_MOST
    variants.timed(figures, what, f"{seconds:.0f} s", f"< {most:.0f} s", holds=seconds < most)
    unharmed(figures, f"it was deployed at {variants.rate} requests/s, {ROWS} rows migrated", seen)
    _latency(figures, site, variants, seen, seconds)
    answers = dict(seen["releases"])
    figures.add(
        "which release answered",
        answers,
        "the old one, then the new one",
        holds=len(answers) == 2 and release in answers,
    )
    figures.add(
        "what `GET /` says now",
        site.get("/")["message"],
        of.OTHER_ANSWER,
        holds=site.get("/")["message"] == of.OTHER_ANSWER,
    )
    filled = sql(site, "SELECT count(*) FROM ops.orphaned_blocks WHERE depth IS NOT NULL")
    figures.add("rows that the migration filled", filled, f"at least {ROWS}", holds=int(filled) >= ROWS)


def _plain(figures: Figures, site: Site, variants: Variants) -> None:
    """A release as most are: other code, the schema that is there."""
    release = variants.build("plain", of.says_nothing_new, after="next")
    seen, seconds = _released(site, variants, "plain", release)
    figures.add(
        "a release by `simplicity deploy`",
        f"{seconds:.0f} s",
        f"< {RELEASE_MOST:.0f} s",
        holds=seconds < RELEASE_MOST and live_release(site) == release,
    )
    unharmed(figures, f"it was deployed at {variants.rate} requests/s", seen)


def _latency(figures: Figures, site: Site, variants: Variants, seen: Mapping[str, Any], seconds: float) -> None:
    served = 'endpoint!~"/health.*|/metrics|.*/(events|all)"'
    good = f'sum(increase(http_request_duration_seconds_bucket{{{served},le="{LIMIT_SECONDS}"}}[{int(seconds)}s]))'
    total = f"sum(increase(http_request_duration_seconds_count{{{served}}}[{int(seconds)}s]))"
    share = float(site.ask(f"100 * {good} / {total}"))
    variants.timed(
        figures,
        f"answers within {LIMIT_SECONDS * 1000:.0f} ms, as the API measured them",
        f"{share:.1f} %; clients: p50 {seen['latency']['p50']} s, p95 {seen['latency']['p95']} s",
        f"at least {WITHIN_SLO:.0f} %, the objective",
        holds=share >= WITHIN_SLO,
    )


def _back(figures: Figures, site: Site, variants: Variants, first: str, second: str) -> None:
    with site.load(variants.folder / "back.json", variants.rate) as seen:
        site.until(lambda: site.get("/")["message"] == of.OTHER_ANSWER, "the new release answers", within=10)
        time.sleep(3)
        began = time.time()
        done = site.run("deploy", "rollback", "--json")
        ended = time.time()
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]
    reached = seen["last"][second] - began
    variants.timed(
        figures,
        "seconds until no client reached the new release any more, of a roll back",
        f"{reached:.1f} (the command ended after {ended - began:.1f})",
        f"< {BACK_MOST:.0f}, aim {BACK_AIM:.0f}",
        holds=reached < BACK_MOST,
    )
    unharmed(figures, "it was rolled back", seen)
    figures.add("what is live after it", live_release(site), first, holds=live_release(site) == first)


def _make_key(site: Site) -> str:
    """Make an API key with the release that is live: something that it writes and the one before has to read."""
    host = site.environment.hosts["api"][0].name
    words = "sudo systemd-run --quiet --pipe --wait --collect --property=User=simplicity"
    files = " ".join(f"--property=EnvironmentFile=/etc/simplicity/{each}.env" for each in ("indexer", "api", "sync"))
    command = "/opt/simplicity/current/venv/bin/simplicity auth keys create --name=proof --role=reader --json"
    return str(json.loads(site.ssh(host, f"{words} {files} {command}"))["key"])


def _state(site: Site) -> tuple[int, str]:
    height = int(site.get("/v1/indexer/brc20/status")["last_indexed_block_main_chain"]) - 1
    return height, json.dumps(site.get(f"/v1/indexer/state/{height}"), sort_keys=True)


def _reads(figures: Figures, site: Site, key: str, state: tuple[int, str]) -> None:
    """What the new release has written, as the old one reads it."""
    height, before = state
    after = json.dumps(site.get(f"/v1/indexer/state/{height}"), sort_keys=True)
    good = int(after == before) + int(site.accepts(key))
    figures.count("of a block's state and a key, written by the new release and read by the old one", good, 2)
    tip = int(site.get("/v1/indexer/brc20/status")["last_indexed_block_main_chain"])
    seconds = site.until(
        lambda: int(site.get("/v1/indexer/brc20/status")["last_indexed_block_main_chain"]) > tip,
        "the old release indexes on",
        within=60,
    )
    figures.add("seconds to the next block that the old release indexed", f"{seconds:.1f}", "< 60", holds=True)


def _refused(figures: Figures, site: Site, variants: Variants) -> None:
    """Releases that fail: each is taken back by itself, and what is live stays so."""
    good = live_release(site)
    kinds = [("cannot migrate", "unmigrated", of.cannot_migrate, "next", 0.0)]
    if not variants.quick:
        kinds += [
            ("is never ready", "unready", of.is_never_ready, "HEAD", 0.0),
            ("is slow", "slow", of.is_slow, "HEAD", MOST_SLOW),
        ]
    for what, name, change, after, most in kinds:
        bad = variants.build(name, change, after=after)
        with site.load(variants.folder / f"{name}.json", variants.rate) as seen:
            done = site.run("deploy", "release", bad, REVIEWED, *QUICK, "--json")
        share = 100 * seen["releases"].get(bad, 0) / max(1, seen["requests"])
        words = f"exit code {done.returncode}; {share:.1f} % of the answers; live: {_matches(site, good)}"
        holds = done.returncode == TAKEN_BACK and share <= most and _matches(site, good) == "the good one"
        figures.add(f"a release that {what}", words, f"taken back, at most {most:.0f} % of the answers", holds=holds)
        unharmed(figures, f"a release that {what} was tried", seen)


def _matches(site: Site, good: str) -> str:
    live = live_release(site)
    return "the good one" if live == good else live


def _killed(figures: Figures, site: Site, variants: Variants, release: str, watched: tuple[str, ...]) -> None:
    """The control node dies in the middle; the next deployment puts everything right."""
    good = live_release(site)
    for moment in KILL_AT:
        with site.load(variants.folder / f"killed-{moment}.json", variants.rate) as seen:
            running = site.begin("deploy", "release", release, REVIEWED, *watched)
            site.until(partial(_is_at, site, release, moment), f"a deployment at {moment}", within=240)
            os.killpg(running.pid, signal.SIGKILL)
            running.wait(10)
            healed = site.run("deploy", "release", release, REVIEWED, *watched, "--json")
        status = site.done("deploy", "status") if healed.returncode == 0 else {}
        figures.add(
            f"killed at {moment}, then deployed again",
            f"exit code {healed.returncode}; live: {live_release(site) if status else 'unknown'}",
            "exit code 0, the new release",
            holds=healed.returncode == 0 and live_release(site) == release,
        )
        unharmed(figures, f"the control node was killed at {moment} and the next deployment healed it", seen)
        back = site.run("deploy", "rollback", "--json")
        assert back.returncode == 0, back.stderr[-2000:]
        assert live_release(site) == good


def _is_at(site: Site, release: str, moment: str) -> bool:
    said = site.run("deploy", "status", "--json")
    try:
        found = json.loads(said.stdout)
    except ValueError:
        return False
    if moment == "traffic":
        return any(0 < share < 100 for shares in found["shares"].values() for share in shares.values())
    return any(release in host["releases"].values() for host in found["hosts"].values())
