"""What an environment has from others, and the fleet needs too: a Bitcoin node, and a store for backups.

Both listen on this machine's address on the bridge, where only the hosts reach them. The chain and the store's objects
last as long as the fleet.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from infra.fleet import network
from infra.fleet.document import NODE_PORT, NODE_USER, STORE_PORT
from infra.fleet.hosts import Process
from infra.fleet.programs import PATH
from infra.local.layout import private_directory, write_private
from infra.local.processes import simplicity_command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from infra.fleet.plan import Plan
    from infra.fleet.storage import Storage

BLOCKS_A_SECOND = 0.2
CERTIFICATE_DAYS = 30
STOP_SECONDS = 10.0


def start(plan: Plan, storage: Storage, running: Mapping[str, Process]) -> dict[str, Process]:
    """Start what does not run, and return the processes of all."""
    private_directory(storage.outside)
    secrets = storage.secrets
    node_password = (secrets / "node_rpc_password").read_text(encoding="utf-8").strip()
    if not storage.store_certificate.exists():
        _certify(plan, storage)
    wanted = {
        "node": (
            simplicity_command(
                "node", f"--data-dir={storage.outside / 'node'}", f"--host={plan.control}", f"--port={NODE_PORT}",
                f"--rpc-user={NODE_USER}", "--rest",
            ),
            {"BITCOIN_RPC_PASSWORD": node_password},
        ),
        "traffic": (
            simplicity_command(
                "traffic", f"--rpc-url=http://{plan.control}:{NODE_PORT}", f"--rpc-user={NODE_USER}",
                f"--rate={BLOCKS_A_SECOND}", "--json",
            ),
            {"BITCOIN_RPC_PASSWORD": node_password},
        ),
        # moto's own server breaks off TLS before pgBackRest has read the end; its state is in memory: one worker.
        "store": (
            [
                sys.executable, "-m", "gunicorn", "--worker-class=gthread", "--workers=1", "--threads=8",
                "--keep-alive=30", f"--certfile={storage.store_certificate}", f"--keyfile={storage.store_key}",
                f"--bind={plan.control}:{STORE_PORT}", "infra.fleet.store:app",
            ],
            {},
        ),
    }  # fmt: skip
    return {
        name: running[name] if name in running and running[name].found() else _start(plan, storage, name, *how)
        for name, how in wanted.items()
    }


def stop(running: Mapping[str, Process]) -> None:
    """Stop all that runs."""
    living = [found for process in running.values() if (found := process.found()) is not None]
    for process in living:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
    _, left = psutil.wait_procs(living, timeout=STOP_SECONDS)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _start(plan: Plan, storage: Storage, name: str, command: Sequence[str], secrets: Mapping[str, str]) -> Process:
    here = {key: os.environ[key] for key in ("HOME", "LANG", "PYTHONPATH", "TMPDIR") if key in os.environ}
    with (storage.outside / f"{name}.log").open("ab") as written:
        started = subprocess.Popen(
            network.inside(plan, *command),
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={"PATH": PATH, **here, **secrets},
        )
    return Process(started.pid, psutil.Process(started.pid).create_time())


def _certify(plan: Plan, storage: Storage) -> None:
    """Make the store's certificate, signed by its own key: the fleet's authority has nothing to do with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "object store of the fleet")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ip_address(plan.control))])
    builder = builder.add_extension(addresses, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(storage.store_key, private.decode())
    storage.store_certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem))
