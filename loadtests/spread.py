"""A test on several processes: a master that leads and counts, and workers that have the users.

Locust's own protocol has no authentication: a master listens on the loopback address, or in a network that is trusted.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from locust import runners
from locust.env import Environment

from loadtests.plan import work_of
from loadtests.running import GLANCE, say
from loadtests.tally import Tally
from loadtests.users import user_classes

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.event import EventHook
    from locust.rpc.protocol import Message
    from locust.runners import MasterRunner

    from loadtests.plan import Plan
    from loadtests.running import Stop
    from loadtests.users import Desk

# What workers and master say to one another besides Locust's own messages.
ASK, WORK, READY, LAST = "simplicity-ask", "simplicity-work", "simplicity-ready", "simplicity-last"
REPORT_SECONDS = 0.5  # between a worker's reports: a line a second is to have all of that second
LAST_SECONDS = 10.0  # in which workers hand in what they counted last


class Master:
    """Waits for workers, tells them what users do, adds up what they report."""

    def __init__(self, environment: Environment, plan: Plan, desk: Desk) -> None:
        self._plan = plan
        self._desk = desk
        self._ready: set[str] = set()
        self._last: set[str] = set()
        _listen(environment.events.worker_report, self._reported)
        self.runner: MasterRunner = environment.create_master_runner(*plan.listen)
        for name, listener in ((ASK, self._asked), (READY, self._is_ready), (LAST, self._was_the_last)):
            self.runner.register_message(name, listener)
        say(listening=[plan.listen[0], self.runner.server.port])

    def gather(self, stop: Stop) -> bool:
        """Wait until all workers are ready; False when it is to end before."""
        while len(self._ready) < self._plan.workers:
            say(waiting=self._plan.workers - len(self._ready))
            if not stop.sleep(REPORT_SECONDS):
                return False
        return True

    def finish(self) -> None:
        """Wait for what workers counted last, and let them go."""
        until = time.monotonic() + LAST_SECONDS
        while self._ready - self._last - set(self._missing()) and time.monotonic() < until:
            time.sleep(GLANCE)
        # Locust itself forgets a worker that has stopped, and would leave it waiting for the next test.
        for client in self._ready:
            self.runner.send_message("quit", client_id=client)
        self.runner.quit()

    @property
    def lost(self) -> int:
        """How many workers did not hand in all that they counted."""
        return len(self._ready - self._last)

    def _missing(self) -> list[str]:
        return [client.id for client in self.runner.clients.missing]

    def _asked(self, msg: Message, **_: object) -> None:
        self.runner.send_message(WORK, asdict(self._desk.wait()), client_id=msg.node_id)

    def _is_ready(self, msg: Message, **_: object) -> None:
        self._ready.add(msg.node_id)

    def _was_the_last(self, msg: Message, **_: object) -> None:
        self._desk.tally.merge(Tally.of(msg.data))
        self._last.add(msg.node_id)

    def _reported(self, data: dict[str, Any], **_: object) -> None:
        self._desk.tally.merge(Tally.of(data["tally"]))


def work(plan: Plan, desk: Desk, stop: Stop) -> None:
    """Run users for a master, until it or `stop` says that it is enough."""
    runners.WORKER_REPORT_INTERVAL = REPORT_SECONDS
    environment = Environment(user_classes=[*user_classes(desk)])
    _listen(environment.events.report_to_master, lambda data, **_: data.update(tally=desk.tally.drain().rows()))
    connected = threading.Event()
    threading.Thread(target=_guard, args=(connected, stop), daemon=True).start()
    try:
        runner = environment.create_worker_runner(*plan.listen)
    except ConnectionError:
        say(error=f"no master at {plan.listen[0]}:{plan.listen[1]}; start it first, and look for a firewall between")
        return
    finally:
        connected.set()
    desk.worker = runner.worker_index

    def take(msg: Message, **_: object) -> None:
        desk.give(work_of(msg.data))
        runner.send_message(READY)
        say(connected=runner.worker_index)

    runner.register_message(WORK, take)

    def hand_in(**_: object) -> None:
        runner.send_message(LAST, desk.tally.drain().rows())
        # Locust waits for that long once more before it hears the master, and no user is left to be waited for.
        environment.stop_timeout = 0

    _listen(environment.events.test_stop, hand_in)
    runner.send_message(ASK)
    while runner.greenlet and stop.sleep(GLANCE):
        pass
    if runner.greenlet:
        environment.events.quitting.fire(environment=environment)  # type: ignore[no-untyped-call]  # Locust's
        runner.quit()


def _listen(hook: EventHook, listener: Callable[..., object]) -> None:
    hook.add_listener(listener)  # type: ignore[no-untyped-call]  # Locust has it without types


def _guard(connected: threading.Event, stop: Stop) -> None:
    # Locust waits for a master for minutes, and hears nothing meanwhile.
    while not connected.is_set():
        if stop.now:
            os._exit(1)
        time.sleep(GLANCE)
