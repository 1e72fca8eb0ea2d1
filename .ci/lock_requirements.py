"""Compile the hash-pinned requirements for all platforms from pyproject.toml; `--check` only compares.

No lock file of uv's own is kept: it would embed the addresses that packages were downloaded from.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
BUILD = "requirements/build.in"
CONSTRAINTS = "requirements/constraints.in"

# File, its sources, and the file whose versions it shares.
LOCKS: tuple[tuple[str, tuple[str, ...], str | None], ...] = (
    ("uv.txt", ("requirements/uv.in",), None),
    ("indexer.txt", ("pyproject.toml", BUILD, "--extra", "indexer"), None),
    ("local.txt", ("pyproject.toml", BUILD, "--extra", "indexer", "--extra", "ops", "--extra", "local"), "indexer.txt"),
    ("client.txt", ("requirements/client.in",), None),
    ("dev.txt", ("pyproject.toml", BUILD, "--all-extras", "--group", "dev"), "local.txt"),
)


def compile_lock(name: str, sources: tuple[str, ...], output: Path, constraint: Path | None, *, upgrade: bool) -> None:
    """Write one file; versions already in `output` are kept unless `upgrade`."""
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", *sources, "--output-file", str(output)]
    command += ["--universal", "--generate-hashes", "--python-version", "3.11", "--quiet"]
    command += ["--no-emit-index-url", "--no-header", "--no-annotate"]
    command += ["--constraint", CONSTRAINTS]
    command += ["--constraint", str(constraint)] if constraint else []
    command += ["--upgrade"] if upgrade else []
    sys.stderr.write(f"compiling {name}\n")
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def main() -> int:
    """Compile or compare; exit code 1 where a committed file is not what its sources give."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed files, change nothing")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that resolve")
    arguments = parser.parse_args()
    stale = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, sources, shared in LOCKS:
            committed = REQUIREMENTS / name
            output = Path(scratch) / name if arguments.check else committed
            if arguments.check:
                output.write_bytes(committed.read_bytes())
            constraint = output.with_name(shared) if shared else None
            compile_lock(name, sources, output, constraint, upgrade=arguments.upgrade)
            if output.read_bytes() != committed.read_bytes():
                stale.append(name)
    if stale:
        sys.stderr.write(f"not what pyproject.toml gives: {', '.join(stale)}; run: make lock\n")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
