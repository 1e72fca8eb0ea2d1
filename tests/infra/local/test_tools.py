from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from infra.local import tools
from infra.local.layout import EnvelopeError

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTING = """\
'http://one.test/vendor/dists/nodistro/InRelease' one_InRelease 0
'http://one.test/vendor/dists/nodistro/main/binary-amd64/Packages.xz' one_Packages 0
'http://two.test/debian-security/dists/bookworm-security/main/binary-amd64/Packages.xz' two_Packages 0
'http://three.test/debian/dists/bookworm/main/binary-amd64/Packages.xz' three_Packages 0
'http://three.test/debian/dists/bookworm/main/binary-all/Packages.xz' three_all 0
'http://three.test/debian/dists/bookworm-updates/main/binary-amd64/Packages.xz' three_updates 0
"""


def test_the_distributions_own_site_is_chosen_not_a_vendors() -> None:
    assert tools.package_sites(LISTING) == ["http://three.test/debian"]


def test_without_an_update_suite_every_site_but_security_is_tried() -> None:
    listing = "\n".join(line for line in LISTING.splitlines() if "-updates" not in line)
    assert tools.package_sites(listing) == ["http://one.test/vendor", "http://three.test/debian"]


def test_a_program_in_path_is_used_and_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "prometheus"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert tools.locate("prometheus", tmp_path / "tools") == program
    assert not (tmp_path / "tools").exists()


def test_a_program_in_path_that_does_not_run_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "prometheus"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    unpacked = tmp_path / "tools" / "trixie-prometheus" / "usr" / "bin" / "prometheus"
    unpacked.parent.mkdir(parents=True)
    unpacked.write_text("#!/bin/sh\nexit 0\n")
    unpacked.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert tools.locate("prometheus", tmp_path / "tools") == unpacked


def test_a_program_is_also_known_by_the_name_that_its_makers_give_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools, "SYSTEM_PATHS", ())
    for name in ("node_exporter", "prometheus-node-exporter"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 0\n")
        (tmp_path / name).chmod(0o755)
        assert tools.locate("prometheus-node-exporter", tmp_path / "tools") == tmp_path / name


def test_every_program_has_a_package_and_those_of_one_package_lie_together() -> None:
    made = {name: tool.directory(Path("tools")) for name, tool in tools.TOOLS.items()}
    assert made["alertmanager"] == made["amtool"] == Path("tools/trixie-prometheus-alertmanager")
    assert len(set(made.values())) == len(made) - 1
    assert all(name in tool.names for name, tool in tools.TOOLS.items())


def test_where_neither_works_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvelopeError) as caught:
        tools.locate("prometheus", tmp_path / "tools")
    assert str(caught.value).startswith("prometheus is missing (")
    assert str(caught.value).endswith("apt-get install prometheus")
    assert "\n" not in str(caught.value)


def test_packages_are_never_taken_unsigned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A machine's own configuration may be lax: what is unpacked here is run, so ours is not.
    commands: list[list[str]] = []

    def note(command: list[str], cwd: Path | None = None) -> str:
        del cwd
        commands.append(command)
        return LISTING

    monkeypatch.setattr(tools, "_run", note)
    monkeypatch.setattr(tools, "_missing_requirement", lambda: None)
    monkeypatch.setattr(tools, "KEYRINGS", (tmp_path,))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvelopeError):
        tools.locate("prometheus", tmp_path / "tools")
    asked = [" ".join(command) for command in commands if command[0] == "apt-get"]
    assert len(asked) == 3
    for flag in ("AllowUnauthenticated=false", "AllowInsecureRepositories=false", "AllowWeakRepositories=false"):
        assert all(flag in command for command in asked)


def pretend(folder: Path, monkeypatch: pytest.MonkeyPatch, apt: str) -> None:
    """Put a script before the real apt-get, and hide a Prometheus that this machine has."""
    script = folder / "bin" / "apt-get"
    script.parent.mkdir(exist_ok=True)
    script.write_text(f"#!/bin/sh\n{apt}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    monkeypatch.setattr(shutil, "which", lambda name, **_: None if name == "prometheus" else f"/usr/bin/{name}")


class Archive:
    """A small distribution of our own on the disk, signed as a real one is, for the real apt."""

    def __init__(self, folder: Path) -> None:
        self.site = folder / "site"
        self.gnupg = folder / "gnupg"
        self.gnupg.mkdir(mode=0o700)
        self.keyring = self.key("the archive")
        self.publish(script="#!/bin/sh\nexit 0\n", signer="the archive")

    def run(self, *command: str, cwd: Path | None = None) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=cwd).stdout

    def gpg(self, *arguments: str) -> str:
        quiet = ("--homedir", str(self.gnupg), "--batch", "--yes", "--quiet", "--pinentry-mode", "loopback")
        return self.run("gpg", *quiet, "--passphrase", "", *arguments)

    def key(self, name: str) -> Path:
        self.gpg("--quick-generate-key", name, "ed25519", "sign", "never")
        path = self.gnupg.parent / f"{name.replace(' ', '-')}.gpg"
        self.gpg("--output", str(path), "--export", name)
        return path

    def publish(self, *, script: str, signer: str) -> None:
        """Make program, library and index anew, and a release file that `signer` has signed."""
        machine = self.run("dpkg", "--print-architecture").strip()
        pool, dist = self.site / "pool", self.site / "dists" / "trixie"
        index = dist / "main" / f"binary-{machine}" / "Packages"
        index.parent.mkdir(parents=True, exist_ok=True)
        pool.mkdir(exist_ok=True)
        contents = {"prometheus": ("usr/bin/prometheus", script), "libx1": ("usr/lib/x-linux-gnu/libx.so.1", "x")}
        entries = []
        for name, (path, text) in contents.items():
            package = self.site.parent / name
            control = f"Package: {name}\nVersion: 1\nArchitecture: {machine}\nMaintainer: x <x@x>\nDescription: x\n"
            for part, words in {path: text, "DEBIAN/control": control}.items():
                (package / part).parent.mkdir(parents=True, exist_ok=True)
                (package / part).write_text(words)
            (package / path).chmod(0o755)
            deb = pool / f"{name}.deb"
            self.run("dpkg-deb", "-Znone", "--root-owner-group", "--build", str(package), str(deb))
            size, digest = deb.stat().st_size, sha256(deb.read_bytes()).hexdigest()
            entries.append(f"{control}Filename: pool/{name}.deb\nSize: {size}\nSHA256: {digest}\n")
        index.write_text("\n".join(entries))
        listed = f" {sha256(index.read_bytes()).hexdigest()} {index.stat().st_size} {index.relative_to(dist)}"
        now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S UTC")
        (dist / "Release").write_text(
            f"Codename: trixie\nSuite: stable\nDate: {now}\nArchitectures: {machine}\nComponents: main\n"
            f"SHA256:\n{listed}\n"
        )
        self.gpg("--local-user", signer, "--output", str(dist / "InRelease"), "--clearsign", str(dist / "Release"))


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    # gpg's agent listens in its directory: pytest's own would be too long for a socket.
    with tempfile.TemporaryDirectory(prefix="simplicity-apt-") as folder:
        made = Archive(Path(folder))
        listed = f"'file://{made.site}/dists/stable/main/binary-x/Packages.xz' x 0"
        apt = f'case "$*" in *--print-uris*) echo "{listed}";; *) exec /usr/bin/apt-get "$@";; esac'
        pretend(tmp_path, monkeypatch, apt)
        monkeypatch.setattr(tools, "KEYRINGS", (tmp_path / "none.gpg", made.keyring))
        yield made
        made.run("gpgconf", "--homedir", str(made.gnupg), "--kill", "all")


needs_apt = pytest.mark.skipif(
    not all(map(shutil.which, ("apt-get", "dpkg-deb", "gpg"))), reason="the tools of Debian's archives are not here"
)


@needs_apt
def test_a_package_is_fetched_checked_and_unpacked_once(archive: Archive, tmp_path: Path) -> None:
    abandoned = tmp_path / "tools" / ".fetch-of-one-that-was-killed"
    abandoned.mkdir(parents=True)
    found = tools.locate("prometheus", tmp_path / "tools")
    assert found == tmp_path / "tools" / "trixie-prometheus" / "usr" / "bin" / "prometheus"
    assert sorted(path.name for path in (tmp_path / "tools").iterdir()) == ["lock", "trixie-prometheus"]
    shutil.rmtree(archive.site)
    assert tools.locate("prometheus", tmp_path / "tools") == found, "nothing is fetched a second time"


@needs_apt
def test_a_package_that_a_stranger_signed_or_that_was_changed_is_not_unpacked(archive: Archive, tmp_path: Path) -> None:
    archive.key("a stranger")
    archive.publish(script="#!/bin/sh\nexit 0\n", signer="a stranger")
    with pytest.raises(EnvelopeError, match=r"(?i)not signed|public key|NO_PUBKEY"):
        tools.locate("prometheus", tmp_path / "tools")
    archive.publish(script="#!/bin/sh\nexit 0\n", signer="the archive")
    package = archive.site / "pool" / "prometheus.deb"
    package.write_bytes(package.read_bytes()[:-1] + b"x")
    with pytest.raises(EnvelopeError, match=r"Hash Sum mismatch|unexpected size"):
        tools.locate("prometheus", tmp_path / "tools")
    assert [path.name for path in (tmp_path / "tools").iterdir()] == ["lock"]


@needs_apt
def test_a_package_that_does_not_run_on_this_system_is_told(archive: Archive, tmp_path: Path) -> None:
    archive.publish(script="#!/bin/sh\nexit 1\n", signer="the archive")
    with pytest.raises(EnvelopeError, match="the prometheus of Debian trixie does not run on this system"):
        tools.locate("prometheus", tmp_path / "tools")


@needs_apt
def test_a_program_runs_with_the_libraries_that_were_unpacked_beside_it(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.publish(script='#!/bin/sh\ncat "$LD_LIBRARY_PATH/libx.so.1" && echo " $*"\n', signer="the archive")
    with_library = replace(tools.TOOLS["prometheus"], libraries=("libx1",), version="-v")
    monkeypatch.setitem(tools.TOOLS, "prometheus", with_library)
    found = tools.locate("prometheus", tmp_path / "tools")
    assert found == tmp_path / "tools" / "trixie-prometheus" / "prometheus"
    done = subprocess.run([found, "-f", "a b"], check=True, capture_output=True, text=True)
    assert done.stdout == "x -f a b\n"


@needs_apt
def test_a_program_finds_its_files_though_it_knows_only_where_an_installed_one_has_them(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both programs of the package: the first to be wanted must not leave the second without.
    script = '#!/bin/sh\nls "/usr/lib/x-linux-gnu"\n'
    archive.publish(script=script, signer="the archive")
    needed = replace(tools.TOOLS["prometheus"], libraries=("libx1",), share="usr/lib/x-linux-gnu")
    monkeypatch.setitem(tools.TOOLS, "prometheus", needed)
    found = tools.locate("prometheus", tmp_path / "tools")
    done = subprocess.run([found], check=True, capture_output=True, text=True, cwd="/")
    assert done.stdout == "libx.so.1\n"
    program = found.parent / "usr/bin/prometheus"
    assert len(program.read_bytes()) == len(script), "not a byte is moved in the program"
    assert b"/usr/lib" not in program.read_bytes()


@needs_apt
@pytest.mark.parametrize("share", ["usr/lib/elsewhere/prometheus", "usr/lib"])
def test_a_program_that_cannot_be_told_where_its_files_are_is_not_taken(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: str
) -> None:
    # Of another name in it nothing is known, and a shorter one leaves no room: it would run, and fail much later.
    archive.publish(script='#!/bin/sh\nls "/usr/lib/x-linux-gnu"\n', signer="the archive")
    monkeypatch.setitem(tools.TOOLS, "prometheus", replace(tools.TOOLS["prometheus"], share=share))
    with pytest.raises(EnvelopeError, match=f"does not look for its files in /{share} .*apt-get install prometheus"):
        tools.locate("prometheus", tmp_path / "tools")
    assert not (tmp_path / "tools" / "trixie-prometheus").exists()


def test_a_server_is_found_where_an_ordinary_users_path_does_not_lead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "sbin" / "haproxy"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\ntest "$1" = -v\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(tools, "SYSTEM_PATHS", (str(program.parent),))
    assert tools.locate("haproxy", tmp_path / "tools") == program


def test_an_apt_that_hangs_or_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "KEYRINGS", (tmp_path,))
    pretend(tmp_path, monkeypatch, "exit 100")
    with pytest.raises(EnvelopeError, match="apt-get ended with 100"):
        tools.locate("prometheus", tmp_path / "tools")
    monkeypatch.setattr(tools, "APT_SECONDS", 0.1)
    pretend(tmp_path, monkeypatch, "exec sleep 60")
    with pytest.raises(EnvelopeError, match=r"apt-get has not finished in 0\.1 s"):
        tools.locate("prometheus", tmp_path / "tools")


def test_a_tools_directory_that_cannot_be_written_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvelopeError, match="set SIMPLICITY_TOOLS elsewhere"):
        tools.locate("prometheus", tmp_path / "file" / "tools")


def test_a_system_without_debians_keys_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "KEYRINGS", (tmp_path / "none.gpg",))
    monkeypatch.setattr(shutil, "which", lambda name, **_: None if name == "prometheus" else f"/usr/bin/{name}")
    with pytest.raises(EnvelopeError, match="this system has no Debian archive keys"):
        tools.locate("prometheus", tmp_path / "tools")
