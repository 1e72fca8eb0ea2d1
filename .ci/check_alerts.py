"""Write alerts/rules, alerts/alertmanager.yaml, docs/slo.md and docs/alerts.md anew; `--check` only compares."""

from __future__ import annotations

from pathlib import Path

import committed

ROOT = Path(__file__).resolve().parent.parent
RULES = "alerts/rules/*.yaml"
COMMAND = ".venv/bin/python .ci/check_alerts.py"


def generated() -> dict[str, str]:
    """Return the text of every file by its name."""
    from alerts import alertmanager, pages, rulebook  # noqa: PLC0415 - the help needs no rules
    from alerts.slo import slo  # noqa: PLC0415 - the same

    configuration = {path.as_posix(): text for path, text in alertmanager.committed().items()}
    return pages.generated(rulebook.groups(), slo()) | configuration


def stale(root: Path, texts: dict[str, str]) -> list[str]:
    """Return the names of files that are not what is generated, and of rules that nothing gives any more."""
    return committed.stale(root, texts, RULES)


def write(root: Path, texts: dict[str, str]) -> None:
    """Make the files what is generated."""
    committed.write(root, texts, stale(root, texts))


def main() -> int:
    """Write or compare; exit code 1 where a committed file is stale."""
    only_compares, texts = committed.only_compares(__doc__), generated()
    if not only_compares:
        write(ROOT, texts)
        return 0
    committed.tell(found := stale(ROOT, texts), "what the rules give", COMMAND)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
