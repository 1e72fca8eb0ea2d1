"""What the API's processes share, and what each has of its own."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from infra.local.component import Envelope, Options, Probe, components
from infra.local.components import api
from infra.local.components.api import COMPONENTS, PEPPER, key_ring
from infra.local.layout import EnvelopeError, Layout
from tests.support.canned import canned

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def envelope(tmp_path: Path) -> Envelope:
    place = Layout(home=tmp_path / "home", tools=tmp_path / "tools")
    place.create()
    everything = components()
    ports = {port.name: port.default for component in everything for port in component.ports}
    secrets = {name: f"secret-{name}" for component in everything for name in component.secrets}
    return Envelope(place, ports, Options(), secrets)


def instead(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Run this Python in the place of `simplicity`."""
    monkeypatch.setattr(api, "simplicity_command", lambda *words: (sys.executable, "-c", code, *words))


def test_the_processes_differ_in_nothing_but_their_port(envelope: Envelope) -> None:
    one, two = (component.environment(envelope) for component in COMPONENTS)
    assert {name for name in one if one[name] != two[name]} == {"API_PORT"}
    assert one["AUTH_PEPPER"] == envelope.secrets[PEPPER]
    assert one["REDIS_URL"].startswith("redis://:secret-cache_password@127.0.0.1:")


def test_the_key_ring_is_made_once_for_all_processes_and_kept(
    envelope: Envelope, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import os, sys; open(os.environ['AUTH_KEY_RING'], 'x').write(' '.join(sys.argv[1:]))"
    instead(monkeypatch, code)
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(component.prepare, envelope) for component in COMPONENTS]:
            done.result()
    assert key_ring(envelope).read_text() == "auth ring create"
    COMPONENTS[0].prepare(envelope)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import sys; sys.exit('first\\nno space left')", "cannot make the key ring: no space left"),
        ("import sys; sys.exit(3)", "cannot make the key ring: exit code 3"),
    ],
)
def test_a_key_ring_that_cannot_be_made_is_one_clear_line(
    envelope: Envelope, monkeypatch: pytest.MonkeyPatch, code: str, says: str
) -> None:
    instead(monkeypatch, code)
    with pytest.raises(EnvelopeError, match=f"^{says}$"):
        COMPONENTS[0].prepare(envelope)


READY = api.READY
WAITS = (503, {"reasons": ["no tip: nothing is known of the index yet"]})


def probed(envelope: Envelope, one: tuple[int, object], two: tuple[int, object]) -> Probe:
    """What the probe of the first process says where the two answer so."""
    with canned({READY: one}) as first, canned({READY: two}) as second:
        ports = {"api-1": urlsplit(first.url).port or 0, "api-2": urlsplit(second.url).port or 0}
        return COMPONENTS[0].probe(replace(envelope, ports=ports))


def test_before_the_first_block_the_processes_serve_all_that_there_is(envelope: Envelope) -> None:
    assert probed(envelope, WAITS, WAITS).ready
    assert probed(envelope, WAITS, (500, "broken")).ready
    assert probed(envelope, (200, {"status": "ready"}), WAITS).ready


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (WAITS, "no tip: nothing is known of the index yet"),
        ((503, {"reasons": ["draining: it stops", "no tip: none"]}), "draining: it stops; no tip: none"),
        ((503, {"detail": "another form"}), "does not answer (KeyError)"),
    ],
)
def test_a_process_that_lags_behind_another_is_not_ready_and_says_why(
    envelope: Envelope, answer: tuple[int, object], says: str
) -> None:
    probe = probed(envelope, answer, (200, {"status": "ready"}))
    assert not probe.ready
    assert probe.detail.endswith(says)
