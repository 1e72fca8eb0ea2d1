"""The wheels of a release: chosen for the hosts' Python, downloaded once, each with the hash that the lock names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.markers import InvalidMarker, Marker
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from runbooks.deploy.errors import DeployError
from runbooks.deploy.manifest import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from packaging.tags import Tag

# What Debian 13 runs (glibc 2.41), and older ones that wheels are commonly made for.
GLIBC = (41, 39, 38, 35, 34, 31, 28, 27, 26, 24, 17, 12, 5)
LEGACY = ("manylinux2014", "manylinux2010", "manylinux1")
_PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Target:
    """What the hosts run: Python like 3.13, machines like x86_64."""

    python: str = "3.13"
    machines: tuple[str, ...] = ("x86_64",)

    @property
    def version(self) -> tuple[int, int]:
        """Return the first two numbers of its Python."""
        major, minor = self.python.split(".")[:2]
        return int(major), int(minor)

    def platforms(self, machine: str) -> list[str]:
        """Return the platforms that a machine runs wheels of, the newest first."""
        old = [f"{name}_{machine}" for name in LEGACY] if machine == "x86_64" else [f"{LEGACY[0]}_{machine}"]
        return [f"manylinux_2_{minor}_{machine}" for minor in GLIBC] + old

    def tags(self, machine: str) -> frozenset[Tag]:
        """Return the tags of wheels that a machine can install."""
        of = self.platforms(machine)
        own = cpython_tags(self.version, platforms=of)
        return frozenset((*own, *compatible_tags(self.version, interpreter=_cp(self.version), platforms=of)))

    def markers(self, machine: str) -> dict[str, str]:
        """Return the environment that markers of requirements are judged in."""
        return {
            "python_version": ".".join(map(str, self.version)),
            # Which of its patches the hosts have is theirs to choose: the last one stands for all.
            "python_full_version": ".".join(map(str, (*self.version, 99))),
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "os_name": "posix",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "platform_machine": machine,
            "extra": "",
        }


@dataclass(frozen=True, slots=True)
class Pin:
    """A requirement of the lock: one version, and the hashes of all files that it may come in."""

    name: str
    version: str
    hashes: frozenset[str]
    marker: str = ""

    def wanted(self, target: Target, machine: str) -> bool:
        """Say whether a machine of the target needs it."""
        return not self.marker or Marker(self.marker).evaluate(target.markers(machine))


def pins(lock: str) -> list[Pin]:
    """Return the requirements of a lock. Raises DeployError for one without an exact version or without a hash."""
    found = []
    for line in lock.replace("\\\n", " ").splitlines():
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if not text or text.startswith("--"):
            continue
        pin, hashes = _PIN.match(text), frozenset(_HASH.findall(text))
        if pin is None or not hashes:
            raise DeployError(f"the lock has {text[:60]!r}: neither an exact version with hashes; run: make lock")
        _, _, marker = text.partition(";")
        made = Pin(canonicalize_name(pin[1]), pin[2], hashes, marker.partition("--hash")[0].strip())
        try:
            Marker(made.marker or "os_name == 'posix'")
        except InvalidMarker:
            raise DeployError(f"the lock has {text[:60]!r}: its marker cannot be read") from None
        found.append(made)
    return found


def gather(
    lock: Sequence[Pin], target: Target, cache: Path, progress: Callable[[int, int, str], None]
) -> Mapping[Pin, list[Path]]:
    """Return the wheels of all pins that the target needs, from the cache where they are there. Raises DeployError."""
    cache.mkdir(parents=True, exist_ok=True)
    found: dict[Pin, list[Path]] = {}
    total = sum(pin.wanted(target, machine) for machine in target.machines for pin in lock)
    done = 0
    for machine in target.machines:
        wanted = [pin for pin in lock if pin.wanted(target, machine)]
        at_hand = _cached(wanted, target.tags(machine), cache)
        missing = [pin for pin in wanted if pin not in at_hand]
        before = done
        for count in _download(missing, target, machine, cache):
            progress(before + count, total, "downloading wheels")
        at_hand |= _cached(missing, target.tags(machine), cache)
        for pin in wanted:
            if pin not in at_hand:
                raise DeployError(f"{pin.name} {pin.version}: has no wheel for Python {target.python} on {machine}")
            paths = found.setdefault(pin, [])
            paths += [at_hand[pin]] if at_hand[pin] not in paths else []
            done += 1
        progress(done, total, "wheels")
    return found


def _cached(wanted: Sequence[Pin], tags: frozenset[Tag], cache: Path) -> dict[Pin, Path]:
    """Return wheels of the cache that fit and are what the lock names; what is neither counts for nothing."""
    by_name: dict[str, list[Path]] = {}
    fitting: dict[Path, str] = {}
    for path in sorted(cache.glob("*.whl")):
        try:
            name, version, _, of = parse_wheel_filename(path.name)
        except InvalidWheelFilename:
            continue
        if of & tags:
            by_name.setdefault(name, []).append(path)
            fitting[path] = str(version)
    return {
        pin: path
        for pin in wanted
        for path in by_name.get(pin.name, [])
        if fitting[path] and digest(path) in pin.hashes
    }


def _download(missing: Sequence[Pin], target: Target, machine: str, cache: Path) -> Iterator[int]:
    """Download what is missing, and yield how many were begun; pip holds each to its hashes. Raises DeployError."""
    if not missing:
        return
    with tempfile.TemporaryDirectory(prefix="simplicity-wheels-") as folder:
        lock = Path(folder) / "requirements.txt"
        lock.write_text("".join(requirement(pin.name, pin.version, pin.hashes) for pin in missing), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--only-binary=:all:", "--require-hashes", "--no-deps"]
        command += ["--disable-pip-version-check", "--no-input", "--progress-bar=off"]
        command += ["--python-version", ".".join(map(str, target.version)), "--implementation", "cp"]
        command += [word for abi in (_cp(target.version), "abi3", "none") for word in ("--abi", abi)]
        command += [word for name in target.platforms(machine) for word in ("--platform", name)]
        command += ["--dest", folder, "--requirement", str(lock)]
        count, said = 0, ""
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as pip:
            for line in pip.stdout or ():
                said = line.strip() or said
                if line.startswith("Collecting"):
                    count += 1
                    yield count
        if pip.returncode != 0:
            raise DeployError(f"wheels cannot be downloaded: {said[:300]}")
        for path in Path(folder).glob("*.whl"):
            # A cut-off copy would have another hash, and count for nothing; the next build brings it again.
            fresh = cache / f"{path.name}.{os.getpid()}.new"
            fresh.write_bytes(path.read_bytes())
            fresh.replace(cache / path.name)


def requirement(name: str, version: str, hashes: frozenset[str]) -> str:
    """Return a line of a requirements file that allows these files only."""
    return f"{name}=={version}" + "".join(f" \\\n    --hash=sha256:{each}" for each in sorted(hashes)) + "\n"


def _cp(version: tuple[int, int]) -> str:
    return "cp" + "".join(map(str, version))
