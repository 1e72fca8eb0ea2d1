"""Write the rules and dashboards of infra/kubernetes/chart anew; `--check` only compares."""

from __future__ import annotations

import sys
from pathlib import Path

import committed

ROOT = Path(__file__).resolve().parent.parent
GENERATED = "infra/kubernetes/chart/generated/*/*"
COMMAND = ".venv/bin/python .ci/check_kubernetes.py"


def generated() -> dict[str, str]:
    """Return the text of every file by its path in the repository."""
    from infra.kubernetes import monitoring  # noqa: PLC0415 - the help needs no rules

    return dict(monitoring.generated())


def stale(root: Path, texts: dict[str, str]) -> list[str]:
    """Return the paths of files that are not what is generated, or that nothing gives any more."""
    return committed.stale(root, texts, GENERATED)


def write(root: Path, texts: dict[str, str]) -> None:
    """Make the files what is generated."""
    committed.write(root, texts, stale(root, texts))


def main() -> int:
    """Write or compare; exit code 1 where a committed file is stale, 2 where something cannot be of the chart."""
    from infra.kubernetes.monitoring import MonitoringError  # noqa: PLC0415 - the same

    only_compares = committed.only_compares(__doc__)
    try:
        texts = generated()
    except MonitoringError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if not only_compares:
        write(ROOT, texts)
        return 0
    committed.tell(found := stale(ROOT, texts), "what alerts and dashboards give", COMMAND)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
