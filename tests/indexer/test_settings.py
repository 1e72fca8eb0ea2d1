from __future__ import annotations

from pathlib import Path

import pytest

from indexer.settings import ConfigurationError, load, shown
from indexer.store.connection import place
from tests.support.tls import certificate

DATABASE = "postgresql://user:hunter2@db.example.com:5432/brc20"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DATABASE_URL", "BITCOIN_RPC_URL", "BITCOIN_RPC_USER", "BITCOIN_RPC_PASSWORD", "BITCOIN_NETWORK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_an_env_file_of_the_public_reference_works_unchanged(tmp_path: Path) -> None:
    env = tmp_path / "production.env"
    env.write_text(
        "DATABASE_URL=postgresql+psycopg2://indexer:secret@localhost:5432/brc20_indexer\n"
        "REDIS_URL=redis://localhost:6380/0\n"
        "BITCOIN_RPC_URL=http://localhost:8332\n"
        "BITCOIN_RPC_USER=bitcoinrpc\nBITCOIN_RPC_PASSWORD=secret\n"
        "START_BLOCK_HEIGHT=895534\nBATCH_SIZE=10\nMAX_REORG_DEPTH=100\n"
        "MARKETPLACE_TRANSFER_BLOCK_HEIGHT=901350\nSWAP_EXE_ACTIVATION_HEIGHT=926480\nSTONES_ACTIVATION_HEIGHT=925399\n"
        "ENABLE_OPI=true\nSTOP_ON_OPI_ERROR=true\nAPI_HOST=0.0.0.0\nAPI_PORT=8083\nAPI_WORKERS=9\nLOG_LEVEL=INFO\n"
    )
    settings = load(env)
    assert settings.DATABASE_URL.get_secret_value() == "postgresql://indexer:secret@localhost:5432/brc20_indexer"
    assert settings.START_BLOCK_HEIGHT == 895_534
    assert settings.API_HOST == "0.0.0.0"  # noqa: S104 - what that file says
    assert settings.BITCOIN_NETWORK == "main"


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text(f"DATABASE_URL={DATABASE}\nLOG_LEVEL=INFO\n")
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    assert load().LOG_LEVEL == "DEBUG"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DATABASE_URL", "", "must look like postgresql://"),
        ("DATABASE_URL", "mysql://user:hunter2@host/db", "must look like postgresql://"),
        ("DATABASE_URL", "postgresql://user:hunter2@host:notaport/db", "no valid port"),
        ("DATABASE_URL", "postgresql://user:hunter2/x@host:5432/db", "no valid port"),
        ("DATABASE_URL", "postgresql://user:p%zzhunter2@host:5432/db", "with %-escapes"),
        ("DATABASE_URL", "postgresql://user:hunter2@host:5432/db?ssl=require", "libpq's own parameters"),
        ("DATABASE_URL", "postgresql://user:hunter2@host:99999/db", "no valid port"),
        ("DATABASE_URL", "postgresql://user:hunter2@one,two:5432,0/db", "no valid port"),
        ("TLS_KEY", "/nowhere", "TLS_CERTIFICATE and TLS_KEY go together"),
        ("BITCOIN_RPC_URL", "localhost:8332", "must look like http://"),
        ("BITCOIN_RPC_URL", "http://localhost:abc", "no valid port"),
        ("BITCOIN_RPC_URL", "http://localhost:99999", "no valid port"),
        ("BITCOIN_RPC_URL", "http://user:hunter2@localhost:8332", "must not carry credentials"),
        ("BITCOIN_NETWORK", "mainnet", "BITCOIN_NETWORK: input should be 'main'"),
        ("START_BLOCK_HEIGHT", "-1", "START_BLOCK_HEIGHT: input should be greater"),
        ("MAX_REORG_DEPTH", "0", "MAX_REORG_DEPTH: input should be greater"),
        ("API_PORT", "70000", "API_PORT: input should be less"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL: input should be 'DEBUG'"),
        ("DATABASE_READER_ROLE", "x; DROP TABLE", "DATABASE_READER_ROLE: string should match"),
        ("BITCOIN_RPC_USER", "alone", "BITCOIN_RPC_USER and BITCOIN_RPC_PASSWORD go together"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_it_and_repeats_no_secret(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load()
    (line,) = str(caught.value).splitlines()
    assert said in line
    assert "hunter2" not in line


def test_several_databases_may_be_named_of_which_one_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://user:hunter2@one:5432,two:5433/db?target_session_attrs=read-write"
    monkeypatch.setenv("DATABASE_URL", url)
    assert load().DATABASE_URL.get_secret_value() == url
    assert place(url) == "user@one,two:5432,5433/db"


def test_a_certificate_of_another_key_is_said_before_anything_is_served(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    mine, other = certificate(tmp_path / "mine"), certificate(tmp_path / "other")
    monkeypatch.setenv("TLS_CERTIFICATE", str(mine.certificate))
    monkeypatch.setenv("TLS_KEY", str(mine.key))
    assert mine.key == load().TLS_KEY
    monkeypatch.setenv("TLS_KEY", str(other.key))
    with pytest.raises(ConfigurationError, match=r"TLS_CERTIFICATE and TLS_KEY cannot be used: .*mismatch"):
        load()
    monkeypatch.setenv("TLS_KEY", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigurationError, match="cannot be used: No such file"):
        load()


def test_all_wrong_values_are_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "x")
    with pytest.raises(ConfigurationError) as caught:
        load()
    lines = str(caught.value).splitlines()
    assert lines[0] == "DATABASE_URL is not set: put it into the environment or the env file"
    assert lines[1].startswith("API_PORT: input should be a valid integer")


def test_a_log_level_may_be_written_in_lower_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    monkeypatch.setenv("LOG_LEVEL", "info")
    assert load().LOG_LEVEL == "INFO"


def test_an_env_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    env = tmp_path / "binary.env"
    env.write_bytes(b"DATABASE_URL=\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"binary\.env: is not UTF-8 text"):
        load(env)


def test_a_missing_env_file_is_said() -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.env: no such file"):
        load(Path("nowhere.env"))


def test_a_password_is_masked_wherever_a_url_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    assert "hunter2" not in repr(load())
    assert place(DATABASE) == "user@db.example.com:5432/brc20"
    assert place("postgresql://h.example.com/db?user=me&password=hunter2") == "me@h.example.com:5432/db"
    assert shown("https://node.example.com:8332/hunter2") == "https://node.example.com:8332"
    assert shown("http://node.example.com/hunter2?key=hunter2") == "http://node.example.com"
