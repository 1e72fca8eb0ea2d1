"""A database of an earlier release, with all its data, becomes one of this release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool
from typer.testing import CliRunner

from indexer.progress import quiet
from indexer.state.verify import verify
from indexer.store import schema
from indexer.store.connection import StoreError, connect
from indexer.store.gradually import in_batches
from infra.local.traffic.chain import OfflineChain
from runbooks.cli import app
from tests.support.indexing import MARKETPLACE_HEIGHT, exported, follow_to_tip, identity, index_fresh, open_writer
from tests.support.memory_node import MemoryNode
from tests.support.postgres import free_port

if TYPE_CHECKING:
    from tests.support.postgres import Cluster


def upgrade_to(database_url: str, revision: str) -> None:
    """Bring an empty database to an earlier release's schema."""
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).with_name("migrations")))
    engine = create_engine(database_url.replace("postgresql:", "postgresql+psycopg:", 1), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA ops"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def test_of_several_servers_the_one_that_takes_writes_is_migrated(empty_database_url: str) -> None:
    several = empty_database_url.replace("@127.0.0.1:", f"@127.0.0.1:{free_port()},127.0.0.1:", 1)
    assert several != empty_database_url

    schema.migrate(f"{several}?target_session_attrs=read-write")

    assert version_of(empty_database_url) == schema.head()


def test_migrate_brings_the_schema_once_and_refuses_a_later_one(empty_database_url: str) -> None:
    def migrate() -> tuple[int, str]:
        done = CliRunner().invoke(app, ["migrate"], env={"DATABASE_URL": empty_database_url})
        return done.exit_code, done.output

    assert migrate() == (0, f"schema {schema.head()}, was empty\n")
    assert migrate() == (0, f"schema {schema.head()} (already)\n")
    with connect(empty_database_url) as connection:
        connection.execute("UPDATE ops.schema_version SET version_num = '9999'")
    code, said = migrate()
    assert code == 2
    assert "database has schema 9999" in said


def version_of(database_url: str) -> str | None:
    with connect(database_url) as connection:
        return schema.version(connection)


@pytest.mark.parametrize("earlier", ["0001", "0002"])
def test_an_earlier_releases_index_is_migrated_with_its_rows_and_followed_on_through_a_reorg(
    cluster: Cluster, migrated_template: str, empty_database_url: str, earlier: str
) -> None:
    chain = OfflineChain(14, maturity=0, marketplace_height=MARKETPLACE_HEIGHT)
    chain.extend(20, 6)
    node = MemoryNode(chain.blocks)
    upgrade_to(empty_database_url, earlier)
    writer = open_writer(empty_database_url)
    follow_to_tip(node, writer)
    writer.close()
    assert version_of(empty_database_url) == earlier
    before = exported(empty_database_url)

    schema.migrate(empty_database_url)

    assert version_of(empty_database_url) == schema.head()
    assert exported(empty_database_url) == before
    chain.fork(5, 8, 6)
    node.switch_to(chain.blocks)
    writer = open_writer(empty_database_url)
    assert follow_to_tip(node, writer) == 5
    writer.close()
    assert exported(empty_database_url) == index_fresh(node, cluster.new_database(migrated_template))
    assert verify(empty_database_url, identity(), quiet).is_consistent


def test_a_later_schema_serves_the_release_before_where_its_maker_says_so(empty_database_url: str) -> None:
    schema.migrate(empty_database_url)
    with connect(empty_database_url) as connection:
        connection.execute("UPDATE ops.schema_version SET version_num = '9999'")
        connection.execute("COMMENT ON TABLE ops.schema_version IS 'schema 9999, for releases since 0.0.1'")
        assert schema.works(connection)

    schema.migrate(empty_database_url)

    assert version_of(empty_database_url) == "9999"


@pytest.mark.parametrize("note", ["schema 9999, for releases since 99.0", "schema 9998, for releases since 0", "none"])
def test_a_later_schema_that_does_not_fit_is_refused(empty_database_url: str, note: str) -> None:
    schema.migrate(empty_database_url)
    with connect(empty_database_url) as connection:
        connection.execute("UPDATE ops.schema_version SET version_num = '9999'")
        connection.execute(f"COMMENT ON TABLE ops.schema_version IS '{note}'")
        assert not schema.works(connection)

    with pytest.raises(StoreError, match="database has schema 9999"):
        schema.migrate(empty_database_url)


def test_rows_are_changed_in_batches_that_are_committed_one_by_one(empty_database_url: str) -> None:
    engine = create_engine(empty_database_url.replace("postgresql:", "postgresql+psycopg:", 1), poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE t AS SELECT n AS id, NULL::bigint AS c FROM generate_series(1, 2500) n"))
        connection.commit()
        context = MigrationContext.configure(connection)
        with context.begin_transaction():
            changed = in_batches(
                Operations(context),
                "UPDATE t SET c = id WHERE id IN (SELECT id FROM t WHERE c IS NULL LIMIT :size)",
                size=1000,
            )
        (transactions,) = connection.execute(text("SELECT count(DISTINCT xmin::text) FROM t")).one()
    assert (changed, transactions) == (2500, 3)
