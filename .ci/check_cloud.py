"""Write the generated parts of docs/cloud.md anew: settings, stacks, estimates; `--check` only compares."""

from __future__ import annotations

from pathlib import Path

import committed

ROOT = Path(__file__).resolve().parent.parent
PAGE = "docs/cloud.md"
COMMAND = ".venv/bin/python .ci/check_cloud.py"


def generated() -> dict[str, str]:
    """Return the page as it has to be: what is written by hand stays."""
    from infra.cloud.cost.page import page  # noqa: PLC0415 - the help needs no settings

    return {PAGE: page((ROOT / PAGE).read_text(encoding="utf-8"))}


def main() -> int:
    """Write or compare; exit code 1 where the committed page is stale."""
    only_compares, texts = committed.only_compares(__doc__), generated()
    found = committed.stale(ROOT, texts, PAGE)
    if not only_compares:
        committed.write(ROOT, texts, found)
        return 0
    committed.tell(found, "what the settings, the stacks and the prices give", COMMAND)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
