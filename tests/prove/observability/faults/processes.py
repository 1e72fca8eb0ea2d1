"""Processes that hang, die, or are gone; and what is done over and over."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeAlias

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.prove.observability.stage import Stage

Fault: TypeAlias = "Callable[[Stage], AbstractContextManager[None]]"


def hanging(*components: str) -> Fault:
    """Return the fault that components hang: the kernel still takes connections for them, nothing is answered."""

    @contextmanager
    def fault(stage: Stage) -> Iterator[None]:
        stopped = [process for component in components for process in stage.tree(component)]
        try:
            for process in stopped:
                process.send_signal(signal.SIGSTOP)
            yield
        finally:
            for process in reversed(stopped):
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)

    return fault


def killed(*components: str) -> Fault:
    """Return the fault that components die again and again: kill -9 whenever the supervisor has them back."""

    def kill(stage: Stage) -> None:
        with suppress(OSError, psutil.Error, KeyError):
            for component, pid in stage.pids().items():
                if component in components and pid:
                    psutil.Process(pid).kill()

    return repeated(kill, every=0.2)


def stopped(component: str) -> Fault:
    """Return the fault that somebody has stopped a component."""

    @contextmanager
    def fault(stage: Stage) -> Iterator[None]:
        supervisor = stage.supervisor_client()
        supervisor.stop(component)
        try:
            yield
        finally:
            stage.until(lambda: not stage.pids()[component], f"{component} gone", within=60)
            supervisor.start(component)

    return fault


def repeated(act: Callable[[Stage], None], *, every: float, threads: int = 1) -> Fault:
    """Return the fault that something is done over and over."""

    @contextmanager
    def fault(stage: Stage) -> Iterator[None]:
        over = threading.Event()

        def run() -> None:
            while not over.wait(every):
                act(stage)

        running = [threading.Thread(target=run, daemon=True) for _ in range(threads)]
        for thread in running:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in running:
                thread.join(30)

    return fault
