"""Audit pinned requirements with pip-audit, and say so when it could audit nothing.

pip-audit alone prints "no known vulnerabilities" and succeeds where it could not reach its database.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TIMEOUT = 300  # seconds


def main(requirements: str) -> int:
    """Return 0 where nothing is known to be vulnerable, or nothing could be audited (which is said); else 1."""
    pip_audit = str(Path(sys.executable).with_name("pip-audit"))
    command = [pip_audit, "--require-hashes", "--disable-pip", "-r", requirements, "-f", "json"]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIMEOUT)
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        sys.stdout.write("pip-audit: audited NOTHING: its vulnerability database cannot be reached from here\n")
        return 0
    audited = [package for package in packages if "vulns" in package]
    vulnerable = [package for package in audited if package["vulns"]]
    for package in vulnerable:
        known = ", ".join(vulnerability["id"] for vulnerability in package["vulns"])
        sys.stdout.write(f"pip-audit: {package['name']} {package['version']}: {known}\n")
    if not audited:
        sys.stdout.write("pip-audit: audited NOTHING: its database knows none of the packages from here\n")
    elif len(audited) < len(packages):
        sys.stdout.write(f"pip-audit: {len(packages) - len(audited)} packages could not be audited\n")
        return 1
    else:
        sys.stdout.write(f"pip-audit: {len(audited)} packages audited, {len(vulnerable)} vulnerable\n")
    return 1 if vulnerable else 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
