"""A database of an earlier release, with all its data, becomes one of this release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from indexer.progress import quiet
from indexer.state.verify import verify
from indexer.store import schema
from indexer.store.connection import connect
from infra.local.traffic.chain import OfflineChain
from tests.support.indexing import MARKETPLACE_HEIGHT, exported, follow_to_tip, identity, index_fresh, open_writer
from tests.support.memory_node import MemoryNode

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
