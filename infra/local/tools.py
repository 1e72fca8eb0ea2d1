"""Programs that are no Python packages: from PATH, else unpacked from the distribution's packages without root.

The distribution's own apt says where its packages come from and checks their signatures; its state is not touched.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infra.local import starters
from infra.local.layout import EnvelopeError

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)
APT_SECONDS = 180
# Where servers lie; an ordinary user's PATH leaves them out.
SYSTEM_PATHS = ("/usr/local/sbin", "/usr/sbin")


@dataclass(frozen=True, slots=True)
class Tool:
    """A program, the package that has it, where it lies in there, and the flag that makes it show its version.

    `libraries` are packages with shared libraries that it needs and that a Debian system may not have. `upstream` is
    the name that its makers give it, where Debian has another. `share` is a directory of the package without which it
    does not run, and which it knows by no other path than that of a system it is installed on.
    """

    package: str
    binary: str
    suite: str
    version: str = "--version"
    libraries: tuple[str, ...] = ()
    upstream: str = ""
    share: str = ""

    @property
    def name(self) -> str:
        """The program's name, as the package has it in PATH."""
        return Path(self.binary).name

    @property
    def names(self) -> tuple[str, ...]:
        """The names under which it may stand in PATH."""
        return (self.name, self.upstream) if self.upstream else (self.name,)

    def directory(self, tools: Path) -> Path:
        """Return where it is unpacked."""
        return tools / f"{self.suite}-{self.package}"

    def program(self, tools: Path) -> Path:
        """Return what is run of the unpacked packages."""
        return self.directory(tools) / (self.name if self.has_starter else self.binary)

    @property
    def has_starter(self) -> bool:
        """Whether it is run by a script that tells it where its things are."""
        return bool(self.libraries or self.share)


TOOLS = {
    # Debian 13's: the newest that still runs on Debian 12.
    "prometheus": Tool(package="prometheus", binary="usr/bin/prometheus", suite="trixie"),
    "promtool": Tool(package="promtool", binary="usr/bin/promtool", suite="trixie"),
    "alertmanager": Tool(
        package="prometheus-alertmanager",
        binary="usr/bin/prometheus-alertmanager",
        suite="trixie",
        upstream="alertmanager",
        share="usr/share/prometheus/alertmanager",
    ),
    "amtool": Tool(package="prometheus-alertmanager", binary="usr/bin/amtool", suite="trixie"),
    "prometheus-node-exporter": Tool(
        package="prometheus-node-exporter",
        binary="usr/bin/prometheus-node-exporter",
        suite="trixie",
        upstream="node_exporter",
    ),
    "prometheus-postgres-exporter": Tool(
        package="prometheus-postgres-exporter",
        binary="usr/bin/prometheus-postgres-exporter",
        suite="trixie",
        upstream="postgres_exporter",
    ),
    "prometheus-redis-exporter": Tool(
        package="prometheus-redis-exporter",
        binary="usr/bin/prometheus-redis-exporter",
        suite="trixie",
        upstream="redis_exporter",
    ),
    # Debian 12's, which runs on Debian 13 too; the other way round the C library is too old.
    "haproxy": Tool(
        package="haproxy",
        binary="usr/sbin/haproxy",
        suite="bookworm",
        version="-v",
        libraries=("liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"),
    ),
    # For proofs: a process with a wrong clock. Its library comes in a package beside it.
    "faketime": Tool(package="faketime", binary="usr/bin/faketime", suite="bookworm", libraries=("libfaketime",)),
}

# A machine's own settings may relax these; what is unpacked here is run, so its signature always counts.
STRICT = (
    "APT::Get::AllowUnauthenticated=false",
    "Acquire::AllowInsecureRepositories=false",
    "Acquire::AllowWeakRepositories=false",
    "Acquire::AllowDowngradeToInsecureRepositories=false",
)
# `apt-get update --print-uris` names each index as 'SITE/dists/SUITE/COMPONENT/binary-ARCH/Packages.xz'.
INDEX_LINE = re.compile(
    r"^'(?P<site>[^']+?)/?/dists/(?P<suite>[^/']+)/main/binary-[^/']+/Packages[^/']*'", re.MULTILINE
)


def locate(name: str, directory: Path) -> Path:
    """Return the program `name`: the one in PATH, else the unpacked one in `directory`, fetched when it is missing.

    Takes seconds and needs the network only when it has to fetch. Raises EnvelopeError with what to install.
    """
    tool = TOOLS[name]
    for candidate in tool.names:
        in_path = shutil.which(candidate, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_PATHS)))
        if in_path and _works(Path(in_path), tool):
            return Path(in_path)
    program = tool.program(directory)
    if not _works(program, tool):
        with _locked(directory):
            # Whoever held the lock before may have fetched it meanwhile.
            if not _works(program, tool):
                for abandoned in directory.glob(".fetch-*"):
                    shutil.rmtree(abandoned, ignore_errors=True)
                _fetch(tool, directory)
    return program


def _works(program: Path, tool: Tool) -> bool:
    try:
        return subprocess.run([program, tool.version], check=False, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EnvelopeError(f"cannot write to {directory} ({error.strerror}); set SIMPLICITY_TOOLS elsewhere") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _fetch(tool: Tool, directory: Path) -> None:
    problem = _missing_requirement()
    failures = []
    if problem is None:
        known = sites()
        problem = "apt knows no site of the distribution" if not known else None
        for site in known:
            try:
                _unpack(tool, site, directory)
            except EnvelopeError as error:
                failures.append(str(error))
            else:
                if _works(tool.program(directory), tool):
                    return
                failures.append(f"the {tool.name} of Debian {tool.suite} does not run on this system")
    reason = problem or failures[0]
    raise EnvelopeError(
        f"{tool.name} is missing ({reason});"
        f" install it so that `{tool.name}` is in PATH: apt-get install {tool.package}"
    )


def _missing_requirement() -> str | None:
    missing = [program for program in ("apt-get", "dpkg-deb") if shutil.which(program) is None]
    if missing:
        return f"not in PATH, and without {missing[0]} its package cannot be unpacked"
    if not any(keyring.exists() for keyring in KEYRINGS):
        return "not in PATH, and this system has no Debian archive keys to check a package with"
    return None


def sites() -> list[str]:
    """Return the sites of the distribution's packages, the system's own first."""
    return package_sites(_apt("--print-uris", "update"))


def package_sites(listing: str) -> list[str]:
    """Return the sites to try, the distribution's own first, from what `apt-get update --print-uris` prints.

    A distribution's own site carries a suite together with its "-updates"; a vendor's list rarely has that. Whatever
    answers is believed only with the signature of Debian's archive.
    """
    suites: dict[str, set[str]] = {}
    for match in INDEX_LINE.finditer(listing):
        suites.setdefault(match["site"], set()).add(match["suite"])
    own = [site for site, names in suites.items() if any(f"{name}-updates" in names for name in names)]
    return own or [site for site, names in suites.items() if not any(name.endswith("-security") for name in names)]


def _unpack(tool: Tool, site: str, directory: Path) -> None:
    keyring = next(keyring for keyring in KEYRINGS if keyring.exists())
    with tempfile.TemporaryDirectory(dir=directory, prefix=".fetch-") as scratch:
        state = Path(scratch)
        for part in ("lists/partial", "cache/archives/partial", "debs", "root"):
            (state / part).mkdir(parents=True)
        (state / "sources.list").write_text(f"deb [signed-by={keyring}] {site} {tool.suite} main\n", encoding="utf-8")
        options = (
            f"Dir::Etc::sourcelist={state}/sources.list",
            "Dir::Etc::sourceparts=/dev/null",
            f"Dir::State::lists={state}/lists",
            f"Dir::Cache={state}/cache",
            "Dir::State::status=/dev/null",
            # As root apt hands downloads to the user _apt, who cannot write here.
            "APT::Sandbox::User=root",
            "Acquire::Languages=none",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
            "Acquire::Retries=2",
            "Acquire::http::Timeout=20",
            "Acquire::https::Timeout=20",
        )
        _apt("-qq", "update", "--error-on=any", options=options)
        _apt("-qq", "download", tool.package, *tool.libraries, options=options, cwd=state / "debs")
        root = state / "root"
        for deb in (state / "debs").glob("*.deb"):
            _run(["dpkg-deb", "--extract", str(deb), str(root)])
        # Programs of one package lie in one directory: it is complete when it is put into place.
        for each in {tool, *(other for other in TOOLS.values() if other.package == tool.package)}:
            if each.has_starter:
                starters.write(each, root)
        final = tool.directory(directory)
        shutil.rmtree(final, ignore_errors=True)
        root.chmod(0o755)
        root.rename(final)


def _apt(*arguments: str, options: tuple[str, ...] = (), cwd: Path | None = None) -> str:
    flags = [part for option in (*options, *STRICT) for part in ("-o", option)]
    return _run(["apt-get", *flags, *arguments], cwd=cwd)


def _run(command: list[str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=cwd,
            timeout=APT_SECONDS,
            env=os.environ | {"LC_ALL": "C.UTF-8"},
        )
    except subprocess.TimeoutExpired:
        raise EnvelopeError(f"{command[0]} has not finished in {APT_SECONDS} s") from None
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.startswith(("E:", "W:", "dpkg"))]
        raise EnvelopeError(lines[0] if lines else f"{command[0]} ended with {done.returncode}")
    return done.stdout
