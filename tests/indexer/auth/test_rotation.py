"""No valid token is ever refused while rings are rotated, read late, and clocks differ."""

from __future__ import annotations

import shutil
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.auth import ring_file
from indexer.auth.authenticator import Authenticator
from indexer.auth.ring import LEEWAY, Ring, create, pruned, rotated
from tests.indexer.auth.world import NOW, PEPPER, Clock, key

if TYPE_CHECKING:
    from pathlib import Path

SKEW = st.sampled_from([-LEEWAY / 2, LEEWAY / 2]) | st.floats(-LEEWAY / 2, LEEWAY / 2)


@dataclass
class Host:
    """A process with a clock of its own that reads each version of the ring some time after it was made."""

    skew: float
    reads: list[tuple[float, Ring]]  # from when on, in real time, which ring

    def ring(self, at: float) -> Ring:
        return self.reads[bisect_right([begin for begin, _ in self.reads], at) - 1][1]

    def clock(self, at: float) -> float:
        return at + self.skew


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[Host], int, list[float]]:
    """Hosts, how long a token is valid, and when the ring changes: all that was promised is kept, to the limit."""
    token_seconds = draw(st.integers(10, 1_000))
    skew = draw(SKEW)
    hosts = [Host(draw(SKEW), []) for _ in range(3)]
    at, ring = NOW, create(NOW + skew)
    for host in hosts:
        host.reads.append((at, ring))
    changes = [at]
    for _ in range(draw(st.integers(1, 4))):
        at += draw(st.floats(0, 400))
        if draw(st.booleans()):
            ring, latest = pruned(ring, at + skew), 3_600.0  # a pruned ring may arrive at any time
        else:
            delay = draw(st.integers(LEEWAY, 200))
            ring, latest = rotated(ring, at + skew, delay=delay, token_seconds=token_seconds), float(delay - LEEWAY)
        for host in hosts:
            read = at + draw(st.sampled_from([0.0, latest]) | st.floats(0, latest))
            # A later version may arrive first, and stays then.
            host.reads = sorted(
                [each for each in host.reads if each[0] < read] + [(read, ring)], key=lambda each: each[0]
            )
        changes.append(at)
    return hosts, token_seconds, changes


@settings(max_examples=150, deadline=None)
@given(fleets(), st.lists(st.floats(0, 2_500), max_size=5), st.lists(st.floats(0, 1), max_size=3))
def test_each_token_is_accepted_by_every_host_all_its_life(
    fleet: tuple[list[Host], int, list[float]], others: list[float], shares: list[float]
) -> None:
    hosts, token_seconds, changes = fleet
    for issuer in hosts:
        # Times at which something changes for the issuer are where a rotation would fail, if anywhere.
        edges = {begin for begin, _ in issuer.reads} | set(changes)
        edges |= {key.signs_from - issuer.skew for _, ring in issuer.reads for key in ring.keys}
        moments = [edge + step for edge in edges for step in (-0.01, 0.01)] + [NOW + other for other in others]
        for issued in (moment for moment in moments if moment >= NOW):
            signer = issuer.ring(issued).signer(issuer.clock(issued))
            expires = int(issuer.clock(issued)) + token_seconds
            # The client believes the host that issued it; a host whose clock is ahead has to do so too.
            last = max(expires - issuer.skew - 0.01, issued)
            for verifier in hosts:
                for at in (issued, last, *(issued + share * (last - issued) for share in shares)):
                    assert verifier.clock(at) < expires + LEEWAY
                    assert verifier.ring(at).verifier(signer.kid, verifier.clock(at)), (issued, at)


def test_three_hosts_with_files_of_their_own_refuse_no_token_through_three_rotations(tmp_path: Path) -> None:
    """Each second every host issues a token, and every host is asked about every token that has not expired."""
    clock, delay, token_seconds = Clock(), 20, 30
    source = tmp_path / "source.json"
    ring_file.create(source, create(clock.now))
    text, record = key()
    hosts: list[tuple[Path, Authenticator]] = []
    for number in range(3):
        path = tmp_path / f"{number}.json"
        shutil.copy(source, path)
        hosts.append((path, Authenticator(PEPPER, ring_file.RingFile(path, clock), token_seconds, clock=clock)))
    for _, host in hosts:
        host.update([record])
    copies: dict[int, list[Path]] = {}
    alive: list[tuple[float, str]] = []
    signers = set()
    for second in range(200):
        clock.now = NOW + second
        if second in {20, 35, 120}:  # the second one while the first one's key waits
            ring_file.change(source, lambda old: rotated(old, clock.now, delay=delay, token_seconds=token_seconds))
            for (path, _), lag in zip(hosts, (0, 3, delay - LEEWAY), strict=True):
                copies.setdefault(second + lag, []).append(path)
        for path in copies.get(second, ()):
            shutil.copy(source, path.with_suffix(".new"))
            path.with_suffix(".new").replace(path)
        for path, host in hosts:
            issued = host.issue(host.authenticate(None, text))
            alive.append((clock.now + issued.expires_in, issued.text))
            signers.add(ring_file.load(path).signer(clock.now).kid)
        alive = [(expires, token) for expires, token in alive if clock.now < expires]
        assert len(alive) <= 3 * token_seconds
        for _, host in hosts:
            for _, token in alive:
                assert host.authenticate(f"Bearer {token}", None).user_id == record.key_id
    assert len(signers) == 4
    assert len(ring_file.load(source).keys) == 2  # those that had ended went with the last rotation


@pytest.mark.parametrize(("host_seconds", "rotated_for"), [(3_600, 900)])
def test_a_host_that_gives_longer_tokens_than_the_rotation_counted_with_gives_shorter_ones_from_then_on(
    tmp_path: Path, host_seconds: int, rotated_for: int
) -> None:
    clock, path = Clock(), tmp_path / "ring.json"
    ring_file.create(path, create(clock.now))
    text, record = key()
    host = Authenticator(PEPPER, ring_file.RingFile(path, clock), host_seconds, clock=clock)
    host.update([record])
    ring_file.change(path, lambda old: rotated(old, clock.now, delay=60, token_seconds=rotated_for))
    clock.now += 30
    token = host.issue(host.authenticate(None, text))
    assert token.expires_in == 900 + 31
    clock.now += token.expires_in - 1
    assert host.authenticate(f"Bearer {token.text}", None).via_token
    clock.now += 1
    assert host.issue(host.authenticate(None, text)).expires_in == host_seconds
