"""Whatever the document allows, and much that it forbids, gets an answer that the document describes: never a 5xx."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig

from indexer.api.events import RETRY, Events
from indexer.auth import ring_file
from indexer.auth.ring import create
from indexer.settings import Settings
from infra.local.traffic.chain import OfflineChain
from tests.indexer.api.live import Live, serving
from tests.indexer.auth.world import PEPPER
from tests.support.indexing import MARKETPLACE_HEIGHT, follow_to_tip, open_writer
from tests.support.memory_node import MemoryNode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import httpx2
    from schemathesis import Case, HookContext

    from indexer.api.events import Place
    from tests.support.postgres import Cluster

DOCUMENT = Path(__file__).parents[3] / "docs/openapi.json"
BLOCKS = 20
CONFIG = SchemathesisConfig.from_dict(
    {
        "checks": {
            # A cursor, an address or an event's id that has the form of one and is none.
            "positive_data_acceptance": {"expected-statuses": ["2xx", "304", "401", "403", "404", "414", "422"]},
            "negative_data_rejection": {"expected-statuses": ["4xx"]},
        }
    }
)
schema = schemathesis.openapi.from_path(DOCUMENT, config=CONFIG)
KNOWN: dict[str, list[str | int]] = {}  # filled by the fixture: values for which there is something on the chain


@pytest.fixture(scope="module")
def live(cluster: Cluster, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    chain = OfflineChain(41, maturity=0, marketplace_height=MARKETPLACE_HEIGHT)
    chain.extend(BLOCKS, 10)
    url = cluster.new_database(migrated_template)
    writer = open_writer(url)
    follow_to_tip(MemoryNode(chain.blocks), writer)
    writer.close()
    ring = tmp_path_factory.mktemp("ring") / "ring.json"
    ring_file.create(ring, create(0))
    api_settings = Settings(
        _env_file=None,
        DATABASE_URL=url,
        BITCOIN_NETWORK="regtest",
        AUTH_PEPPER=PEPPER,
        AUTH_KEY_RING=ring,
        API_RATE_LIMITS="",
        API_KEY_RATE_LIMITS="",
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Events, "stream", _told_once)
        with serving(api_settings) as live, live.client() as client:
            KNOWN.update(known(client))
            yield live


async def _told_once(events: Events, last: Place | None) -> AsyncIterator[bytes]:
    """A stream that ends after what it has to tell at once: a client that waits for its end would wait for ever."""
    yield RETRY
    way = await events._way(last)  # noqa: SLF001 - all but the waiting is as it is
    if way is not None:
        yield way.text


def known(client: httpx2.Client) -> dict[str, list[str | int]]:
    """Return values of parameters for which there is something on the chain."""
    infos = client.get("/v1/indexer/brc20/list").json()
    busiest = max(infos, key=lambda info: info["holders"])["ticker"]
    busy = f"/v1/indexer/brc20/{quote(busiest, safe='')}"
    pages = [client.get(f"{path}?limit=1") for path in ("/v1/indexer/brc20/list", f"{busy}/holders", f"{busy}/history")]
    operations = client.get(f"{busy}/history?include_invalid=true").json()
    blocks = [client.get(f"/v1/indexer/state/{height}").json() for height in (1, BLOCKS)]
    return {
        "ticker": [info["ticker"] for info in infos],
        "address": [holder["wallet"] for holder in client.get(f"{busy}/holders").json()],
        "txid": [operation["txid"] for operation in operations],
        "height": [0, 1, BLOCKS, BLOCKS + 1],
        "op_type": ["deploy", "mint", "transfer", "burn"],
        "cursor": [page.links["next"]["url"].rpartition("cursor=")[2] for page in pages],
        "last_event_id": [f"{block['height']}:{block['block_hash']}" for block in blocks],
    }


@schema.hook
def flatmap_case(_context: HookContext, case: Case[Any]) -> st.SearchStrategy[Case[Any]]:
    """Replace every other value by one that the chain has, or all would be a 404; what is meant to be wrong stays."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return st.just(case)

    def replaced(values: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries(
            {
                name: st.sampled_from([value, *KNOWN[name]]) if name in KNOWN else st.just(value)
                for name, value in values.items()
            }
        )

    def with_known(found: tuple[dict[str, Any], dict[str, Any]]) -> Case[Any]:
        case.path_parameters, case.query = found
        return case

    return st.tuples(replaced(case.path_parameters), replaced(case.query)).map(with_known)


def ask(live: Live, case: Case[Any], role: str | None) -> None:
    """Send a case and compare the answer with the document."""
    headers = {} if role is None else {"X-API-Key": live.key(role)}
    case.call_and_validate(base_url=live.url, headers=headers)


bounded = settings(max_examples=5, deadline=None, database=None, suppress_health_check=list(HealthCheck))
thorough = settings(bounded, max_examples=200)


@schema.parametrize()
@bounded
def test_every_answer_is_as_documented(live: Live, case: Case[Any]) -> None:
    ask(live, case, None)


@schema.include(path_regex="/v1/auth/|/health/detailed").parametrize()
@bounded
def test_every_answer_to_an_operator_is_as_documented(live: Live, case: Case[Any]) -> None:
    ask(live, case, "operator")


@pytest.mark.proof
@schema.parametrize()
@thorough
def test_very_many_answers_are_as_documented(live: Live, case: Case[Any]) -> None:
    ask(live, case, None)
