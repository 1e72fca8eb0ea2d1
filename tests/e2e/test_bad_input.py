"""What an operator gets wrong is one line that says what and what to do; the exit code tells scripts."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import submit, sync_environment
from tests.support.postgres import free_port
from tests.support.processes import simplicity

if TYPE_CHECKING:
    from pathlib import Path

    from infra.local.traffic.chain import OfflineChain
    from tests.infra.local.node.harness import NodeProcess
    from tests.support.postgres import Cluster


def last_reason(standard_error: str) -> str:
    line: dict[str, str] = json.loads(standard_error.splitlines()[-1])
    assert "Traceback" not in standard_error
    return line["reason"]


def test_a_database_that_is_not_there_is_given_up_after_the_patience(node: NodeProcess) -> None:
    port = free_port()
    url = f"postgresql://user:hunter2@127.0.0.1:{port}/brc20"
    done = simplicity("sync", "--until", "tip", "--patience", "1", environment=sync_environment(node, url))
    assert done.returncode == 1
    assert last_reason(done.stderr) == (
        f"database user@127.0.0.1:{port}/brc20 cannot be reached (Connection refused Is the server running on that "
        "host and accepting TCP/IP connections?); start it or correct DATABASE_URL"
    )
    assert "hunter2" not in done.stderr


def test_a_database_that_does_not_exist_stops_sync_at_once(node: NodeProcess, cluster: Cluster) -> None:
    done = simplicity("sync", environment=sync_environment(node, cluster.url("nowhere")))
    assert done.returncode == 2
    assert 'database "nowhere" does not exist; create or allow it, or correct DATABASE_URL' in last_reason(done.stderr)


def test_wrong_node_credentials_stop_sync_at_once(node: NodeProcess, database_url: str) -> None:
    environment = sync_environment(node, database_url, BITCOIN_RPC_USER="me", BITCOIN_RPC_PASSWORD="hunter2")
    done = simplicity("sync", environment=environment)
    assert done.returncode == 2
    assert "refused the credentials; correct BITCOIN_RPC_USER" in last_reason(done.stderr)
    assert "hunter2" not in done.stderr


def test_a_node_that_is_down_is_given_up_after_the_patience(node: NodeProcess, database_url: str) -> None:
    environment = sync_environment(node, database_url, BITCOIN_RPC_URL=f"http://127.0.0.1:{free_port()}")
    done = simplicity("sync", "--until", "tip", "--patience", "1", environment=environment)
    assert done.returncode == 1
    assert "start it or correct BITCOIN_RPC_URL" in last_reason(done.stderr)


def test_something_that_is_no_node_is_said(node: NodeProcess, database_url: str, cluster: Cluster) -> None:
    environment = sync_environment(node, database_url, BITCOIN_RPC_URL=f"http://127.0.0.1:{cluster.port}")
    done = simplicity("sync", "--until", "tip", "--patience", "1", environment=environment)
    assert done.returncode == 1
    assert "BITCOIN_RPC_URL" in last_reason(done.stderr) or "is it a Bitcoin node" in last_reason(done.stderr)


def test_another_network_than_the_nodes_stops_sync_at_once(node: NodeProcess, database_url: str) -> None:
    done = simplicity("sync", environment=sync_environment(node, database_url, BITCOIN_NETWORK="main"))
    assert done.returncode == 2
    assert "node follows the chain 'regtest', BITCOIN_NETWORK is 'main'" in last_reason(done.stderr)


def test_a_role_that_may_not_make_schemas_stops_sync_at_once(node: NodeProcess, cluster: Cluster) -> None:
    import psycopg  # noqa: PLC0415 - for this test's role only

    url = cluster.new_database()
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS humble")
        connection.execute("CREATE ROLE humble LOGIN")
    done = simplicity("sync", environment=sync_environment(node, url.replace("postgres@", "humble@")))
    assert done.returncode == 2
    assert "may not" in last_reason(done.stderr)


def test_a_newer_schema_than_this_releases_stops_sync_and_changes_nothing(node: NodeProcess, database_url: str) -> None:
    import psycopg  # noqa: PLC0415 - for this test's sabotage only

    from indexer.store.schema import head  # noqa: PLC0415 - as above

    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE ops.schema_version SET version_num = '9999'")
        done = simplicity("sync", environment=sync_environment(node, database_url))
        row = connection.execute("SELECT version_num FROM ops.schema_version").fetchone()
    assert done.returncode == 2
    assert f"database has schema 9999, this release knows up to {head()}" in last_reason(done.stderr)
    assert row == ("9999",)


@pytest.mark.parametrize(("command", "setting"), [("api", "API_PORT"), ("sync", "SYNC_METRICS_PORT")])
def test_a_port_in_use_is_named_with_its_setting(
    node: NodeProcess, database_url: str, command: str, setting: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = simplicity(command, environment=sync_environment(node, database_url, **{setting: str(port)}))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"simplicity: {setting}={port} cannot be listened on (Address already in use); choose another"
    )


def test_config_check_says_what_works_and_what_does_not(node: NodeProcess, database_url: str) -> None:
    good = simplicity("config", "check", "--json", environment=sync_environment(node, database_url))
    assert good.returncode == 0, good.stdout + good.stderr
    assert [finding["ok"] for finding in json.loads(good.stdout)] == [True, True, True]
    environment = sync_environment(node, database_url, BITCOIN_RPC_URL=f"http://127.0.0.1:{free_port()}")
    bad = simplicity("config", "check", environment=environment)
    assert bad.returncode == 1
    assert "FAIL  node: node at" in bad.stdout
    assert "ok    database: PostgreSQL" in bad.stdout
    offline = simplicity("config", "check", "--offline", environment=environment)
    assert offline.returncode == 0
    wrong = simplicity("config", "check", environment=environment | {"API_PORT": "x"})
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert wrong.stderr.startswith("simplicity: API_PORT: input should be a valid integer")


def test_sync_until_a_height_stops_there_and_export_names_it(
    node: NodeProcess, chain: OfflineChain, database_url: str
) -> None:
    chain.extend(10, 4)
    submit(node, chain.blocks)
    environment = sync_environment(node, database_url)
    assert simplicity("sync", "--until", "104", environment=environment).returncode == 0
    first = simplicity("state", "export", environment=environment)
    assert json.loads(first.stdout.splitlines()[0])["height"] == 104
    assert simplicity("sync", "--until", "104", environment=environment).returncode == 0
    assert simplicity("state", "export", environment=environment).stdout == first.stdout
    wrong = simplicity("sync", "--until", "soon", environment=environment)
    assert wrong.returncode == 2
    assert wrong.stderr == "simplicity: --until soon: must be 'tip' or a height such as 895600\n"


def test_exporting_an_empty_database_says_what_to_run(
    node: NodeProcess, database_url: str, empty_database_url: str
) -> None:
    for url in (database_url, empty_database_url):
        done = simplicity("state", "export", environment=sync_environment(node, url))
        assert done.returncode == 2
        assert done.stderr == "simplicity: database holds no index yet; run: simplicity sync\n"


def test_an_export_is_a_whole_file_or_none(node: NodeProcess, database_url: str, tmp_path: Path) -> None:
    environment = sync_environment(node, database_url)
    failed = simplicity("state", "export", "-o", str(tmp_path / "a.ndjson"), environment=environment)
    assert failed.returncode == 2
    assert list(tmp_path.glob("*.ndjson*")) == []
    nowhere = simplicity("state", "export", "-o", str(tmp_path / "none" / "a.ndjson"), environment=environment)
    assert nowhere.returncode == 2
    assert nowhere.stderr.endswith("No such file or directory; choose another place\n")
    assert simplicity("sync", "--until", "tip", environment=environment).returncode == 0
    done = simplicity("state", "export", "-o", str(tmp_path / "a.ndjson"), environment=environment)
    assert done.returncode == 0
    assert json.loads((tmp_path / "a.ndjson").read_text().splitlines()[0])["type"] == "state"


def test_an_address_that_is_not_ours_is_named_with_its_setting(node: NodeProcess, database_url: str) -> None:
    done = simplicity("api", environment=sync_environment(node, database_url, API_HOST="no.such.host.invalid"))
    assert done.returncode == 2
    assert done.stderr.startswith("simplicity: API_HOST=no.such.host.invalid is no address of this machine")
