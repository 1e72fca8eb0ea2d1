"""An API that answers what the users ask, from nothing; each answer can be made a wrong one."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIP = 900
TICKERS = ("ORDI", "SATS", "B C/D", "Ω1")
BALANCE = {"pkscript": "51", "overall_balance": "5.00000000", "available_balance": "5.00000000", "block_height": 800}


def address(number: int) -> str:
    return f"bcrt1p{number:038d}"


def ticker_row(ticker: str) -> dict[str, Any]:
    at = TICKERS.index(ticker)
    return {
        "ticker": ticker,
        "max_supply": "21000000.00000000",
        "minted": "1000.00000000",
        "holders": 9 - at,
        "deploy_tx_id": f"{at:064x}",
        "deploy_block_height": 700 + at,
        "creator_address": address(90 + at),
    }


def operation(ticker: str, number: int = 0) -> dict[str, Any]:
    return {
        "op": "mint",
        "ticker": ticker,
        "txid": f"{number:064x}",
        "block_height": 800 + number,
        "valid": True,
        "timestamp": "2026-11-30T05:12:00Z",
    }


def balances(ticker: str) -> list[dict[str, Any]]:
    return [BALANCE | {"wallet": address(number), "ticker": ticker} for number in range(3)]


STATUS = {"current_block_height_network": TIP, "last_indexed_block_main_chain": TIP, "block_hash": "00" * 32}
ROUTES: tuple[tuple[str, Callable[..., Any]], ...] = (
    ("/brc20/status", lambda: STATUS),
    ("/brc20/list", lambda: [ticker_row(ticker) for ticker in TICKERS]),
    ("/brc20/address/([^/]+)/tickers", lambda wallet: [row | {"wallet": wallet} for row in balances("ORDI")[:1]]),
    ("/address/([^/]+)/brc20/([^/]+)/info", lambda wallet, ticker: BALANCE | {"wallet": wallet, "ticker": ticker}),
    ("/address/([^/]+)/history", lambda _wallet: [operation("ORDI")]),
    ("/brc20/history-by-height/([0-9]+)", lambda height: [operation("ORDI", int(height) - 800)]),
    ("/state/([0-9]+)", lambda height: {"height": int(height), "block_hash": "00" * 32, "state_hash": "11" * 32}),
    ("/brc20/([^/]+)/info", lambda ticker: ticker_row(ticker.upper())),
    ("/brc20/([^/]+)/holders", balances),
    ("/brc20/([^/]+)/history", lambda ticker: [operation(ticker, number) for number in range(5)]),
    ("/brc20/([^/]+)/tx/([^/]+)/history", lambda ticker, _txid: [operation(ticker)]),
)


def answer_of(target: str) -> Any:  # noqa: ANN401 - JSON
    """The right answer to a request, None where there is no such route."""
    path = target.partition("?")[0].removeprefix("/v1/indexer")
    for pattern, answer in ROUTES:
        if found := re.fullmatch(pattern, path):
            return answer(*(unquote(value) for value in found.groups()))
    return None


@dataclass
class Api:
    """`change` gets the number of a request and its target, and may give another status and body.

    While `drips`, an answer goes on coming, byte by byte, for as long as somebody reads it.
    """

    url: str = ""
    change: Callable[[int, str], tuple[int, Any] | None] = lambda _number, _target: None
    drips: Callable[[], bool] = lambda: False
    asked: list[str] = field(default_factory=list)
    keys: set[str | None] = field(default_factory=set)
    tags: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.Event = field(default_factory=threading.Event)

    def answer(self, target: str, key: str | None) -> tuple[int, Any]:
        with self.lock:
            self.asked.append(target)
            self.keys.add(key)
            number = len(self.asked)
        return self.change(number, target) or (200, answer_of(target))


@contextmanager
def canned_api() -> Iterator[Api]:
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body = api.answer(self.path, self.headers["X-API-Key"])
            if status == 200 and self.headers["If-None-Match"] == '"1"':
                status, body = 304, None
                api.tags += 1
            text = b"" if status == 304 else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("ETag", '"1"')
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            while text and api.drips() and not api.closing.wait(0.2):
                self.wfile.write(b" ")
                self.wfile.flush()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 100

        def handle_error(self, *_: object) -> None:
            pass  # users that are gone in the middle of an answer

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        api.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield api
        finally:
            api.closing.set()
            server.shutdown()
            thread.join()
