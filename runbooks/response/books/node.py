"""The answer to alerts about the Bitcoin node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbooks.response.acts import evidence_step, metrics, restart_step, service_parameter
from runbooks.response.answering import answer
from runbooks.response.looks import HEALTH, SERVICES, healthy_look

if TYPE_CHECKING:
    from runbooks.engine.model import Context, Json

METHODS = ("getblockchaininfo", "getnetworkinfo", "getpeerinfo", "getchaintips", "getmempoolinfo")


def ask_node(context: Context) -> Json:
    """Return what the node says of its chain, its peers and its mempool; a method that it lacks is said to be so."""
    import httpx2  # noqa: PLC0415 - a page is shown without the packages

    from runbooks.maintenance.checks import node_call  # noqa: PLC0415 - as above

    found: dict[str, Any] = {}
    for method in METHODS:
        try:
            found[method] = node_call(context.environment, method)
        except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
            found[method] = f"no answer: {type(error).__name__}"
    return found


RUNBOOK = answer(
    "answer-node-down",
    title="Answer: the Bitcoin node is down or stuck",
    meaning="The node does not answer, or has had no new block for two hours, which the chain itself does once in many "
    "years: it has lost its peers, its disk is full, or it refuses a block that others take.",
    impact="The index stands still at its last block: clients get balances that are right as of that block and grow "
    "old. Nothing is lost; sync goes on by itself.",
    diagnosis=(SERVICES, HEALTH),
    steps=(
        evidence_step(
            {
                "node": ask_node,
                "seen": metrics(
                    height="max(simplicity_node_height{HERE})",
                    failures="sum(increase(simplicity_node_failures_total{HERE}[10m]))",
                ),
            },
            "no peers: look at its network and its clock; `warnings` or an `invalid` tip higher than its own: its "
            "release is too old, or it holds a damaged block (`bitcoin-cli reconsiderblock HASH`)",
            "`bitcoin-cli getblockchaininfo`, `bitcoin-cli getpeerinfo`, `bitcoin-cli getchaintips`",
        ),
        restart_step("bitcoin-node"),
    ),
    verify=(healthy_look("node", "sync", within=600.0),),
    undo="There is nothing to take back: the node keeps its chain over a restart.",
    parameters=(service_parameter("bitcoin-node", example="bitcoin-node"),),
)
