"""Where the commands find Alertmanager."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from alerts.place import Place, PlaceError, local_document, place
from infra.local.layout import layout

if TYPE_CHECKING:
    from pathlib import Path


def test_a_url_is_taken_as_it_is_and_a_document_is_not_looked_at(tmp_path: Path) -> None:
    assert place("http://alerts.example.com:9093/", tmp_path / "none.json") == Place("http://alerts.example.com:9093")


def test_a_document_says_where_both_are(tmp_path: Path) -> None:
    document = tmp_path / "environment.json"
    document.write_text(json.dumps({"endpoints": {"alertmanager": "http://a:9093/", "prometheus": "http://p:9090"}}))
    assert place(environment=document) == Place("http://a:9093", "http://p:9090")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no environment here; `simplicity up`"),
        ("{", "is no environment document"),
        ("[]", "is no environment document"),
        ("{}", "is no environment document"),
        ('{"endpoints": []}', "is no environment document"),
        ('{"endpoints": {"prometheus": "http://p:9090"}}', "names no Alertmanager"),
        ('{"endpoints": {"alertmanager": null}}', "names no Alertmanager"),
        ('{"endpoints": {"alertmanager": 5}}', "names no Alertmanager"),
    ],
)
def test_a_document_that_is_of_no_use_is_told_in_one_line(tmp_path: Path, text: str | None, says: str) -> None:
    document = tmp_path / "environment.json"
    if text is not None:
        document.write_text(text)
    with pytest.raises(PlaceError, match=says) as refusal:
        place(environment=document)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("home", [None, "some/where", "/some/where", "~/there"])
def test_the_local_document_lies_where_the_envelope_writes_it(
    monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    if home is None:
        monkeypatch.delenv("SIMPLICITY_HOME", raising=False)
    else:
        monkeypatch.setenv("SIMPLICITY_HOME", home)
    assert local_document() == layout().environment
