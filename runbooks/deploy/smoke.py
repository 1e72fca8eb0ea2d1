"""What a colour has to answer before it gets a single request of a client: each process is asked directly."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from runbooks.deploy.asking import ask
from runbooks.deploy.errors import DeployError
from runbooks.deploy.hosts import url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.environment import Environment

READS = ("/v1/indexer/brc20/status", "/v1/indexer/brc20/list", "/v1/indexer/brc20/health")
OK = 200
TIMED = 20
# A colour without traffic is asked over a new connection each time: only what is far from any aim counts here.
SLOW_SECONDS = 0.5
# A tip may be a block ahead on one of two processes: what lies below is the same for all.
BELOW_TIP = 2


def readiness(environment: Environment, address: str, colour: str, release: str) -> str:
    """Return what a process lacks to take requests, "" where it is ready and of this release."""
    try:
        answer = ask(environment, url(address, colour, "/health/ready"))
    except DeployError as error:
        return str(error)
    if answer.status != OK:
        return f"{address} {colour}: is not ready ({answer.status})"
    if answer.release != release:
        return f"{address} {colour}: answers as {answer.release or 'no release'}, not as {release}"
    return ""


def smoke(environment: Environment, address: str, colour: str, release: str, live: str) -> str:
    """Return how a process answers its first reads. Raises DeployError for a wrong, failed or slow answer.

    `live` is the colour that clients reach: at a height that both know, the state has to be the same.
    """
    lacking = readiness(environment, address, colour, release)
    if lacking:
        raise DeployError(lacking)
    for path in READS:
        _read(environment, address, colour, path, release)
    known = _known_answer(environment, address, colour, live)
    began = time.monotonic()
    for _ in range(TIMED):
        _read(environment, address, colour, READS[0], release)
    seconds = (time.monotonic() - began) / TIMED
    if seconds > SLOW_SECONDS:
        raise DeployError(f"{address} {colour}: takes {seconds:.2f} s for a read, before it has any traffic")
    return f"{address}: {known}, {seconds * 1000:.0f} ms a read"


def _known_answer(environment: Environment, address: str, colour: str, live: str) -> str:
    tip: Any = ask(environment, url(address, live, READS[0])).json()
    height = int(_field(tip, "last_indexed_block_main_chain")) - BELOW_TIP
    if height < environment.start_height:
        return "the index is empty"
    path = f"/v1/indexer/state/{height}"
    old, new = (ask(environment, url(address, each, path)) for each in (live, colour))
    if new.status != old.status:
        raise DeployError(f"{address} {colour}: answers {new.status} to {path}, {live} answers {old.status}")
    for name in ("block_hash", "state_hash"):
        if old.status == OK and _field(old.json(), name) != _field(new.json(), name):
            raise DeployError(f"{address} {colour}: has another {name} at height {height} than {live}")
    return f"the state at height {height} is the one that {live} has"


def _read(environment: Environment, address: str, colour: str, path: str, release: str) -> None:
    answer = ask(environment, url(address, colour, path))
    if answer.status != OK or answer.release != release:
        raise DeployError(
            f"{address} {colour}: answers {path} with {answer.status} as {answer.release or 'no release'}"
        )


def _field(body: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - whatever the API has there
    for part in (body, body.get("result"), body.get("data")):
        if isinstance(part, dict) and name in part:
            return part[name]
    raise DeployError(f"an answer lacks {name}")
