from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from infra.local.layout import layout
from loadtests.errors import UsageError
from loadtests.target import Target, default_document, keys_of, of_document, of_url

if TYPE_CHECKING:
    from pathlib import Path


def document(path: Path, **changes: Any) -> Path:  # noqa: ANN401 - JSON
    value = {
        "version": 1,
        "name": "local",
        "place": "local",
        "endpoints": {"api": "http://127.0.0.1:8080/"},
        "metrics": {"labels": {"cluster": "local"}},
        "drivers": {"load_metrics": {"kind": "file_sd", "settings": {"directory": str(path.parent)}}},
    }
    path.write_text(json.dumps(value | changes))
    return path


def test_a_document_says_whom_to_ask_and_where_prometheus_looks(tmp_path: Path) -> None:
    target = of_document(document(tmp_path / "environment.json"))
    assert target.host == "http://127.0.0.1:8080"
    assert target.labels == {"cluster": "local", "place": "local"}
    assert target.targets == str(tmp_path)


@pytest.mark.parametrize(
    "drivers", [{}, {"load_metrics": {"kind": "file_sd", "settings": {"directory": "/there/is/none"}}}]
)
def test_without_a_directory_on_this_machine_the_test_is_run_all_the_same(tmp_path: Path, drivers: object) -> None:
    assert of_document(document(tmp_path / "environment.json", drivers=drivers)).targets == ""


@pytest.mark.parametrize(
    ("place", "name", "is_here"),
    [("cloud", "production", False), ("cloud", "staging", False), ("local", "production", True)],
)
def test_of_an_environment_only_its_place_says_whether_others_would_feel_a_test(
    tmp_path: Path, place: str, name: str, *, is_here: bool
) -> None:
    assert of_document(document(tmp_path / "environment.json", place=place, name=name)).is_here is is_here


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080", True),
        ("http://localhost:8080", True),
        ("http://10.0.0.5:8080", False),
        ("https://api.example.com", False),
        ("https://localhost.example.com", False),
    ],
)
def test_of_an_address_it_is_whether_it_is_this_machine(url: str, *, is_here: bool) -> None:
    assert of_url(url).is_here is is_here


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": 2}, "is no environment of version 1"),
        ({"endpoints": {}}, "is no whole environment ('api')"),
        ({"drivers": []}, "is no whole environment"),
        ({"endpoints": {"api": "nowhere"}}, "is no URL"),
    ],
)
def test_a_document_that_is_not_one_is_told(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        of_document(document(tmp_path / "environment.json", **changes))
    assert says in str(caught.value)


def test_a_document_that_is_missing_or_no_json_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no environment here; `simplicity up` makes the local one"):
        of_document(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"version": 1')
    with pytest.raises(UsageError, match=r"half.json: cannot be read"):
        of_document(tmp_path / "half.json")


@pytest.mark.parametrize(
    "url", ["api.example.com", "ftp://example.com", "https://", "https://key:x@example.com", "http://a/?k=1"]
)
def test_what_is_no_url_or_has_a_secret_in_it_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(UsageError, match="--host is no URL") as caught:
        of_url(url)
    assert "key" not in str(caught.value).replace("a key goes into --key-file", "")


def test_a_url_is_a_target_without_a_name() -> None:
    assert of_url("https://api.example.com/") == Target(host="https://api.example.com")


def test_without_a_document_the_local_envelopes_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIMPLICITY_HOME", raising=False)
    assert default_document() == layout().environment
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path))
    assert default_document() == layout().environment == tmp_path / "local" / "environment.json"


def test_keys_are_the_lines_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# of the load test\nsk-1\n\n  sk-2  \n")
    assert keys_of(path) == ("sk-1", "sk-2")


@pytest.mark.parametrize(
    ("text", "says"),
    [(b"", "has no key"), (b"# none\n", "has no key"), (b"se cret\n", "has a line"), (b"\xff", "cannot be read")],
)
def test_a_file_without_keys_is_told_and_what_is_in_it_is_not(tmp_path: Path, text: bytes, says: str) -> None:
    path = tmp_path / "keys"
    path.write_bytes(text)
    with pytest.raises(UsageError, match=says) as caught:
        keys_of(path)
    assert "cret" not in str(caught.value)
