"""Begin an operation on a service, and kill this very process -9 at the n-th of the moments that matter.

Those are before and after each time that something is recorded, or told to the supervisor. With n = 0 it is not killed,
and prints how many moments there were.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from infra.local.layout import Layout
from infra.local.supervisor import Supervisor
from runbooks.drivers.local_services import LocalServiceControl
from runbooks.drivers.operations import OperationStore, wait

if TYPE_CHECKING:
    from collections.abc import Callable

PLACES = ((OperationStore, "begin"), (OperationStore, "_write"), (Supervisor, "stop"), (Supervisor, "start"))


class Moments:
    def __init__(self, fatal: int) -> None:
        self.fatal = fatal
        self.seen = 0

    def pass_one(self) -> None:
        self.seen += 1
        if self.seen == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, owner: type, name: str) -> None:
        original: Callable[..., object] = getattr(owner, name)

        def watched(*arguments: object, **named: object) -> object:
            self.pass_one()
            answer = original(*arguments, **named)
            self.pass_one()
            return answer

        setattr(owner, name, watched)


def main() -> None:
    home, directory, key, action, name, fatal = sys.argv[1:]
    moments = Moments(int(fatal))
    for owner, method in PLACES:
        moments.watch(owner, method)
    place = Layout(Path(home), Path(home) / "tools")
    control = LocalServiceControl(place, OperationStore(Path(directory)))
    getattr(control, action)(key, name)
    wait(control, key, 60)
    sys.stdout.write(f"{moments.seen}\n")


if __name__ == "__main__":
    main()
