"""The documentation comes from here alone: no page, script or style refers to another host, or may load from one."""

from __future__ import annotations

import gzip
import json
import re
from html.parser import HTMLParser

import pytest
from fastapi.testclient import TestClient

from indexer.api import openapi
from indexer.api.app import create_app
from indexer.api.routes import docs
from indexer.settings import Settings

SCRIPTS = ("swagger-ui-bundle.js", "start.js")
STYLES = ("swagger-ui.css",)


@pytest.fixture
def client() -> TestClient:
    api = create_app(Settings(_env_file=None, DATABASE_URL="postgresql://127.0.0.1/none"))
    # Not entered: documentation needs no database.
    return TestClient(api, headers={"Accept-Encoding": "identity"})


class Links(HTMLParser):
    """What a page loads, and what it runs or styles by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.inline: list[str] = []
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in = tag
        self.loads += [value or "" for name, value in attrs if name in {"src", "href"}]
        self.inline += [f"{name}={value}" for name, value in attrs if name == "style" or name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the base class's
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in in {"script", "style"} and data.strip():
            self.inline.append(data)


def test_the_page_loads_only_what_is_served_here(client: TestClient) -> None:
    answer = client.get("/docs")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    links = Links(answer.text)
    assert links.inline == []
    assert len(links.loads) == len(set(links.loads)) == 5
    for target in links.loads:
        if target != "data:,":
            assert re.fullmatch(r"[a-z./-]+", target), target
            assert client.get(f"/{target}").status_code == 200


def test_the_page_may_load_nothing_from_elsewhere_and_run_nothing_inline(client: TestClient) -> None:
    policy = dict(
        part.strip().split(" ", 1) for part in client.get("/docs").headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' data:"
    assert set(policy) == {
        *("default-src", "script-src", "style-src", "img-src", "connect-src"),
        *("base-uri", "form-action", "frame-ancestors"),
    }


def test_scripts_and_styles_fetch_nothing_from_elsewhere(client: TestClient) -> None:
    for name in STYLES:
        found = re.findall(r"@import|url\(\s*['\"]?([^'\")]{0,20})", client.get(f"/docs/{name}").text)
        assert all(target.startswith("data:") for target in found), found
    start = client.get("/docs/start.js").text
    assert "//" not in start
    # Without this line Swagger UI asks a validator on the internet about each document that is not on localhost.
    assert "validatorUrl: null" in start
    bundle = client.get("/docs/swagger-ui-bundle.js").text
    assert re.search(r"\b(importScripts|new Worker)\(\s*['\"]https?:", bundle) is None


def test_the_swagger_ui_of_the_package_knows_our_version_of_openapi(client: TestClient) -> None:
    found = re.search(r'PACKAGE_VERSION:"(\d+)\.(\d+)\.', client.get("/docs/swagger-ui-bundle.js").text)
    assert found is not None
    assert (int(found[1]), int(found[2])) >= (5, 31)
    assert client.get("/openapi.json").json()["openapi"].startswith("3.1.")


def test_the_document_and_the_files_are_kept_by_browsers_until_they_change(client: TestClient) -> None:
    for path in ("/openapi.json", *(f"/docs/{name}" for name in (*SCRIPTS, *STYLES))):
        first = client.get(path)
        assert re.fullmatch(r"public, max-age=\d+", first.headers["Cache-Control"])
        again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        packed = client.get(path, headers={"Accept-Encoding": "br, gzip"})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert int(packed.headers["Content-Length"]) < len(first.content)
        assert packed.content == first.content
        assert packed.headers["Vary"] == first.headers["Vary"] == "Accept-Encoding"


def test_the_document_is_made_once(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    first = client.get("/openapi.json").content
    monkeypatch.setattr(openapi, "document", None)
    assert client.get("/openapi.json").content == first
    assert json.loads(first)["paths"]


@pytest.mark.parametrize("name", ["favicon.png", "..%2f..%2fapp.py", "%2e%2e", "redoc.standalone.js"])
def test_no_other_file_is_served(client: TestClient, name: str) -> None:
    answer = client.get(f"/docs/{name}")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_packed_files_are_the_same_bytes_in_every_process() -> None:
    packed = docs._file("start.js").packed  # noqa: SLF001 - two processes behind a balancer must agree
    assert packed == gzip.compress(docs.START, mtime=0)
