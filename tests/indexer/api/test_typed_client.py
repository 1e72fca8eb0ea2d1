"""A client that a generator makes of the committed document: its types hold, and it reads from a live API.

`make .venv/.client` sets the generator up: it needs another typer than we, so it has an environment of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from indexer.settings import Settings
from tests.indexer.api.example_chain import index_examples
from tests.indexer.api.live import serving

ROOT = Path(__file__).parents[3]
TOOLS = ROOT / ".venv/client/bin"
PACKAGE = "simplicity_client"
CALLS = f"""
import json, sys
from {PACKAGE} import AuthenticatedClient, Client
from {PACKAGE}.api.brc_20 import status, ticker_history, ticker_info
from {PACKAGE}.api.whole_lists import all_holders
from {PACKAGE}.models.problem import Problem

with Client(sys.argv[1]) as client:
    missing = ticker_info.sync("nothing", client=client)
    assert isinstance(missing, Problem), missing
    print(json.dumps({{
        "status": status.sync(client=client).to_dict(),
        "history": [op.to_dict() for op in ticker_history.sync("ordi", client=client, op_type="transfer", limit=1)],
        "holders": all_holders.sync("ordi", client=client, max_results=1).to_dict(),
        "missing": missing.detail,
    }}))
with AuthenticatedClient(sys.argv[1], token="nonsense") as client:
    refused = status.sync(client=client)
    assert isinstance(refused, Problem) and refused.status == 401, refused
"""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = TOOLS / "openapi-python-client"
    assert generator.exists(), "the generator is not set up: make .venv/.client"
    folder = tmp_path_factory.mktemp("client")
    (folder / "options.yml").write_text("post_hooks: []\n")
    document, output, options = ROOT / "docs/openapi.json", folder / PACKAGE, folder / "options.yml"
    command: list[str | Path] = [generator, "generate", "--meta", "none", "--fail-on-warning", "--path", document]
    said = subprocess.run(
        [*command, "--output-path", output, "--config", options],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    return folder


@pytest.mark.proof
def test_the_generated_client_is_typed_throughout(generated: Path) -> None:
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--python-executable={TOOLS / 'python'}"]
    said = subprocess.run(
        [*mypy, "--cache-dir", generated / "cache", PACKAGE],
        check=False,
        capture_output=True,
        text=True,
        cwd=generated,
        timeout=240,
    )
    assert said.returncode == 0, said.stdout


@pytest.mark.proof
def test_the_generated_client_reads_from_a_live_api(generated: Path, database_url: str) -> None:
    index_examples(database_url)
    with serving(Settings(_env_file=None, DATABASE_URL=database_url)) as live:
        said = subprocess.run(
            [TOOLS / "python", "-c", CALLS, live.url],
            check=False,
            capture_output=True,
            text=True,
            cwd=generated,
            timeout=60,
        )
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    document = json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))
    examples = {
        each["get"]["operationId"]: each["get"]["responses"]["200"]["content"]["application/json"]["example"]
        for path, each in document["paths"].items()
        if path.startswith("/v1/indexer/") and not path.endswith("/events")
    }
    # The generator writes times as Python does.
    history = [{**op, "timestamp": op["timestamp"].replace("+00:00", "Z")} for op in found["history"]]
    assert found["status"] == examples["status"]
    assert history == examples["ticker_history"]
    assert found["holders"] == examples["all_holders"]
    assert found["missing"] == "no such ticker"
