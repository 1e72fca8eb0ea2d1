"""The read API: processes that are all the same, behind the balancer, as a role that owns nothing in the database."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING

import httpx2

from infra.local.component import Component, Probe, http
from infra.local.components import bitcoin_node, postgresql, valkey
from infra.local.components.sync import CLUSTER, MAX_REORG_DEPTH, NETWORK, START_HEIGHT
from infra.local.layout import EnvelopeError
from infra.local.ports import LOOPBACK, Port
from infra.local.processes import child_environment, simplicity_command

if TYPE_CHECKING:
    from pathlib import Path

    from infra.local.component import Envelope

GROUP = "api"
PEPPER = "auth_pepper"
READY = "/health/ready"
NO_TIP = "no tip"  # how the reason begins that nothing is indexed yet
# Each process listens on a port of its own name.
PORTS = (Port("api-1", 18_083), Port("api-2", 18_084))
INSTANCES = tuple(port.name for port in PORTS)
# Four times what the balancer needs to see that a process is no longer ready.
DRAIN_SECONDS = 2
# The longest query (BULK_QUERY_TIMEOUT) is let finish after that.
STOP_SECONDS = DRAIN_SECONDS + 33
# All clients of this machine count as one, and a developer's script is no flood; still the limits can be met.
RATE_LIMITS = "read=60000/minute bulk=6000/minute stream=600/minute auth=600/minute other=6000/minute"

UNANSWERED = (httpx2.HTTPError, ValueError, KeyError, TypeError)

_one_ring = Lock()


def base_url(envelope: Envelope, instance: str) -> str:
    """Return the root URL of one process; what people use is the balancer's."""
    return f"http://{LOOPBACK}:{envelope.ports[instance]}"


def key_ring(envelope: Envelope) -> Path:
    """Return the file with the keys that sign tokens."""
    return envelope.layout.secrets / "auth_key_ring.json"


def _prepare(envelope: Envelope) -> None:
    """Make the key ring once; the processes are prepared at the same time and share it."""
    with _one_ring:
        if key_ring(envelope).exists():
            return
        command = simplicity_command("auth", "ring", "create")
        # It reads the settings like every command: all of them.
        environment = child_environment(envelope.layout.data) | settings(envelope, INSTANCES[0])
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30, env=environment)
        except subprocess.TimeoutExpired:
            raise EnvelopeError("`simplicity auth ring create` has not finished in 30 s") from None
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()
        raise EnvelopeError(f"cannot make the key ring: {words[-1] if words else f'exit code {done.returncode}'}")


def settings(envelope: Envelope, instance: str) -> dict[str, str]:
    """Return the environment of a process, with secrets."""
    return {
        "DATABASE_URL": postgresql.url(envelope, postgresql.READER),
        "REDIS_URL": valkey.url(envelope),
        "BITCOIN_NETWORK": NETWORK,
        "BITCOIN_RPC_URL": bitcoin_node.rpc_url(envelope),
        "BITCOIN_RPC_COOKIE_FILE": str(bitcoin_node.cookie_file(envelope)),
        "START_BLOCK_HEIGHT": str(START_HEIGHT),
        "MAX_REORG_DEPTH": str(MAX_REORG_DEPTH),
        "CLUSTER_NAME": CLUSTER,
        "API_HOST": LOOPBACK,
        "API_PORT": str(envelope.ports[instance]),
        "API_TRUSTED_PROXIES": f"{LOOPBACK}/32",
        "API_RATE_LIMITS": RATE_LIMITS,
        "API_KEY_RATE_LIMITS": RATE_LIMITS,
        "API_DRAIN_SECONDS": str(DRAIN_SECONDS),
        "AUTH_PEPPER": envelope.secrets[PEPPER],
        "AUTH_KEY_RING": str(key_ring(envelope)),
        "LOG_LEVEL": "INFO",
    }


def _probe(envelope: Envelope, instance: str) -> Probe:
    """Ask a process whether it is ready. Before the first block none knows a tip: then they serve all that there is."""
    url = base_url(envelope, instance) + READY
    try:
        reasons = _not_ready(url)
    except UNANSWERED as error:
        return Probe(ready=False, detail=f"{url} does not answer ({type(error).__name__})")
    if not reasons:
        return Probe(ready=True, detail=f"{url} answers")
    # Where another one knows a tip, this one has just begun, or has lost its database.
    excused = all(reason.startswith(NO_TIP) for reason in reasons)
    return Probe(ready=excused and not _another_is_ready(envelope, instance), detail="; ".join(reasons))


def _another_is_ready(envelope: Envelope, instance: str) -> bool:
    for other in INSTANCES:
        with suppress(*UNANSWERED):
            if other != instance and not _not_ready(base_url(envelope, other) + READY):
                return True
    return False


def _not_ready(url: str) -> list[str]:
    """Return why a process says that it is not ready, nothing when it is; raises UNANSWERED."""
    answer = http().get(url)
    return [] if answer.is_success else [str(reason) for reason in answer.json()["reasons"]]


def _component(port: Port) -> Component:
    instance = port.name
    return Component(
        name=instance,
        group=GROUP,
        ports=(port,),
        secrets=(PEPPER,),
        # Not sync, though that brings the schema: until then the API answers that nothing is indexed. Not Valkey nor
        # the node: without them it serves on.
        needs=("postgresql",),
        prepare=_prepare,
        command=lambda _: simplicity_command("api"),
        environment=lambda envelope: settings(envelope, instance),
        metrics=instance,
        probe=lambda envelope: _probe(envelope, instance),
        url=lambda envelope: base_url(envelope, instance),
        stop_seconds=STOP_SECONDS,
        drains=True,
        hint=f"`simplicity logs {instance}` tells why; it needs the database with the schema that sync brings",
    )


COMPONENTS = tuple(_component(port) for port in PORTS)
