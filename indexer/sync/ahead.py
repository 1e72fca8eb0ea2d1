"""Blocks prepared ahead of the one that is being applied: decoding takes the longest, and needs no state."""

from __future__ import annotations

import os
import signal
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TYPE_CHECKING, Protocol

from indexer.bitcoin.rpc import NodeUnavailableError, RpcError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from indexer.bitcoin.source import BlockSource
    from indexer.sync.prepare import Prepared, Preparer

    Wanted = Iterator[tuple[int, bytes]]  # heights and hashes

HASHES = 500  # asked for at once
DEPTH = 32  # blocks that are ahead at most: what is prepared while a full transaction commits
ENDING = 1.0  # seconds that a process has to end when it is told to: one that hangs in the middle of that is killed
LOOK = 1.0  # seconds after which a block that is not there has its processes looked at
OPERATIONS = 20_000  # that are ahead, about: blocks full of operations must not fill the memory


class WorkersLostError(Exception):
    """A process that prepares blocks died: killed, or out of memory."""


def on_chain(source: BlockSource, first: int, last: int) -> Wanted:
    """Yield the blocks of the node's active chain from height `first` to `last`, or to its tip. Raises NodeError."""
    while first <= last and (hashes := source.hashes(first, min(HASHES, last - first + 1))):
        yield from enumerate(hashes, start=first)
        first += len(hashes)


class Ahead(Protocol):
    """Prepares blocks in the order in which they are wanted."""

    def prepare(self, wanted: Wanted) -> Iterator[Prepared]:
        """Yield each wanted block. Raises NodeError and WorkersLostError."""
        ...

    def close(self) -> None:
        """Give back what the work took; it can begin again."""
        ...


class InTurn:
    """Prepares each block when it is asked for, in this process."""

    def __init__(self, preparer: Preparer) -> None:
        self._preparer = preparer

    def prepare(self, wanted: Wanted) -> Iterator[Prepared]:
        """Yield each wanted block."""
        return (self._preparer.prepare(height, block_hash) for height, block_hash in wanted)

    def close(self) -> None:
        """Nothing was taken."""


class InProcesses:
    """Prepares blocks in processes of their own, each with its own connection to the node."""

    def __init__(self, make_preparer: Callable[[], Preparer], workers: int) -> None:
        self._make_preparer = make_preparer  # called in each process: it must survive the way there
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def prepare(self, wanted: Wanted) -> Iterator[Prepared]:
        """Yield each wanted block, while the next ones are being prepared."""
        pending: deque[Future[Prepared]] = deque()
        depth = 2 * self._workers
        try:
            while True:
                for height, block_hash in wanted:
                    pending.append(self._submit(height, block_hash))
                    if len(pending) >= depth:
                        break
                if not pending:
                    return
                prepared = self._result(pending.popleft())
                depth = max(2 * self._workers, min(DEPTH, OPERATIONS // (len(prepared.operations) + 1)))
                yield prepared
        except (BrokenProcessPool, OSError) as error:
            self.close()
            # A pool whose process dies while it is handed work finds its own pipe closed: no error of the system's.
            if isinstance(error, OSError) and error.errno is not None:
                raise WorkersLostError(f"a process to prepare blocks cannot be started ({error.strerror})") from error
            raise WorkersLostError("a process that prepares blocks died; starting anew") from error
        finally:
            for future in pending:
                future.cancel()

    def close(self) -> None:
        """End the processes, also those that wait for a node: they hold nothing that would be lost."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        workers = list(pool._processes.values())  # noqa: SLF001 - public from Python 3.14 on, as terminate_workers
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join(ENDING)
            worker.kill()
            worker.join()

    def _submit(self, height: int, block_hash: bytes) -> Future[Prepared]:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(self._make_preparer,)
            )
            # All at once, as those that fork are: a pool that starts one while another dies breaks its own thread.
            self._pool._safe_to_dynamically_spawn_children = False  # type: ignore[attr-defined]  # noqa: SLF001
        return self._pool.submit(_prepare, height, block_hash)

    def _result(self, future: Future[Prepared]) -> Prepared:
        # Until Python 3.12 a pool can forget work that it is handed in the moment in which one of its processes dies.
        while not wait([future], LOOK).done:
            if self._pool is None or not all(worker.is_alive() for worker in self._pool._processes.values()):  # noqa: SLF001
                raise BrokenProcessPool
        return future.result()


_preparer: Preparer


def _begin(make_preparer: Callable[[], Preparer]) -> None:
    """Make this process a worker: it ends with its parent, and leaves the terminal's interrupt to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    global _preparer  # noqa: PLW0603 - the way of process pools to give a worker something that lasts
    _preparer = make_preparer()


def _end_with_parent() -> None:
    # A pool's queue stays open in the workers themselves: after a kill -9 of the parent they would wait for ever.
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _prepare(height: int, block_hash: bytes) -> Prepared:
    try:
        return _preparer.prepare(height, block_hash)
    except RpcError as error:
        raise NodeUnavailableError(str(error)) from None  # an RpcError does not survive the way between processes
