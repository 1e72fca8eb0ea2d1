"""A real node process on a free port, its RPC, and transactions to feed it."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from btclib.hashes import hash160
from coincurve import PrivateKey

from infra.local.node.mining import build_block
from infra.local.node.scripts import script_address, script_type
from infra.local.node.wire import compact_size, decode_transaction, sha256d

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DEADLINE = 30
SIMPLICITY = (sys.executable, "-c", "from runbooks.cli import main; main()")
OP_TRUE = b"\x51"
# Pays to whoever shows the script OP_TRUE: spendable without a signature.
OPEN_SCRIPT = b"\x00\x20" + sha256(OP_TRUE).digest()
OPEN_ADDRESS = script_address(OPEN_SCRIPT, script_type(OPEN_SCRIPT))
KEY = PrivateKey(sha256(b"a key of the tests").digest())


class RpcFailureError(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(f"{status} {code} {message}")
        self.status = status
        self.code = code
        self.message = message


@dataclass
class NodeProcess:
    directory: Path
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    port: int = 0

    @property
    def log_path(self) -> Path:
        return self.directory.with_suffix(".log")

    def start(self) -> NodeProcess:
        command = [*SIMPLICITY, "node", "--data-dir", str(self.directory), "--port", "0"]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen([*command, *self.options], stderr=log, env=os.environ | self.environment)
        ready = self.wait_for_log("ready")
        self.port = self.wait_for_log("listening")["port"]
        assert ready["height"] >= 0
        return self

    def log_lines(self) -> list[dict[str, Any]]:
        lines = self.log_path.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def wait_for_log(self, event: str) -> dict[str, Any]:
        limit = time.monotonic() + DEADLINE
        while time.monotonic() < limit:
            if found := next((line for line in self.log_lines() if line["event"] == event), None):
                return found
            assert self.process is not None
            assert self.process.poll() is None, self.log_path.read_text()
            time.sleep(0.02)
        raise TimeoutError(f"no {event!r} within {DEADLINE} s: {self.log_path.read_text()}")

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(DEADLINE)

    @property
    def cookie(self) -> str:
        return (self.directory / ".cookie").read_text()

    def post(self, body: bytes, login: str | None = None) -> tuple[int, bytes]:
        login = self.cookie if login is None else login
        headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            connection.request("POST", "/", body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def rpc(self, method: str, *params: object) -> Any:  # noqa: ANN401 - the method's own result
        status, body = self.post(json.dumps({"method": method, "params": params, "id": 1}).encode())
        reply = json.loads(body, parse_float=Decimal)
        if reply["error"] is not None:
            raise RpcFailureError(status, reply["error"]["code"], reply["error"]["message"])
        return reply["result"]

    def coin(self, height: int) -> tuple[str, int]:
        """The coinbase of the block at a height: its txid and value in satoshi."""
        block = self.rpc("getblock", self.rpc("getblockhash", height), 2)
        return block["tx"][0]["txid"], int(block["tx"][0]["vout"][0]["value"] * 100_000_000)

    def block_on_tip(self, txs: Sequence[bytes] = (), **options: Any) -> bytes:  # noqa: ANN401 - build_block's own
        tip = self.rpc("getblockheader", self.rpc("getbestblockhash"))
        stamp = max(tip["mediantime"] + 1, int(time.time()))
        return build_block(wire(tip["hash"]), tip["height"] + 1, stamp, OPEN_SCRIPT, txs, **options)


def wire(displayed: str) -> bytes:
    return bytes.fromhex(displayed)[::-1]


def txid_of(raw: bytes) -> str:
    return decode_transaction(raw).txid[::-1].hex()


def transaction(  # noqa: PLR0917 - the parts of a transaction
    spends: Sequence[tuple[str, int]],
    outputs: Sequence[tuple[int, bytes]],
    witness: Sequence[bytes] = (OP_TRUE,),
    sequence: int = 0xFFFFFFFD,
    locktime: int = 0,
    version: int = 2,
) -> bytes:
    """A transaction whose inputs all show the same witness."""
    body = compact_size(len(spends))
    for txid, vout in spends:
        body += wire(txid) + struct.pack("<I", vout) + b"\x00" + struct.pack("<I", sequence)
    body += compact_size(len(outputs))
    body += b"".join(struct.pack("<q", value) + compact_size(len(lock)) + lock for value, lock in outputs)
    stack = compact_size(len(witness)) + b"".join(compact_size(len(item)) + item for item in witness)
    return struct.pack("<I", version) + b"\x00\x01" + body + stack * len(spends) + struct.pack("<I", locktime)


def key_script() -> bytes:
    return b"\x00\x14" + hash160(KEY.public_key.format())


def signed(txid: str, vout: int, value: int, outputs: Sequence[tuple[int, bytes]]) -> bytes:
    """Spend a P2WPKH output of `KEY` with a real signature (BIP143)."""
    outpoint, sequence = wire(txid) + struct.pack("<I", vout), struct.pack("<I", 0xFFFFFFFD)
    paid = b"".join(struct.pack("<q", amount) + compact_size(len(lock)) + lock for amount, lock in outputs)
    code = b"\x19\x76\xa9" + b"\x14" + hash160(KEY.public_key.format()) + b"\x88\xac"
    preimage = struct.pack("<I", 2) + sha256d(outpoint) + sha256d(sequence) + outpoint + code
    preimage += struct.pack("<q", value) + sequence + sha256d(paid) + struct.pack("<II", 0, 1)
    signature = KEY.sign(sha256d(preimage), hasher=None) + b"\x01"
    return transaction([(txid, vout)], outputs, (signature, KEY.public_key.format()))
