"""The role `volume` on real disks: loop devices, and hosts that are mount namespaces with an /etc of their own."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).parents[2]
OWNER = "simplicity-volume"
CAP_SYS_RESOURCE = 24
SERVICE = "simplicity-volume.service"
# A file system of ext4 ends with a whole group of blocks: a disk of any other size has a rest that it never uses.
GROUP = 128 << 20
PLAY = [{"hosts": "all", "gather_facts": False, "become": False, "roles": ["volume"]}]
# /etc is a copy: users, the table of mounts and units of this machine stay as they are.
HOLD = 'set -e; mount -t tmpfs etc "$1"; cp -a /etc/. "$1"; mount --bind "$1" /etc; echo; exec sleep infinity'


def _call(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


@dataclass(frozen=True)
class Disk:
    """A loop device under the name that AWS' volumes have, and the file behind it."""

    name: Path
    file: Path

    @property
    def device(self) -> str:
        return str(self.name.resolve())

    def digest(self) -> str:
        return hashlib.sha256(self.file.read_bytes()).hexdigest()

    def grow(self) -> None:
        os.truncate(self.file, self.file.stat().st_size + GROUP)
        _call("losetup", "--set-capacity", self.device)


@dataclass(frozen=True)
class Ran:
    """What a run of the playbook said of each host."""

    said: Mapping[str, Any]

    def of(self, host: str) -> dict[str, int]:
        """How many tasks of a host failed and changed something."""
        stats = self.said["stats"][host]
        return {"failures": stats["failures"] + stats["unreachable"], "changed": stats["changed"]}

    def failure(self, host: str) -> str:
        tasks = [task["hosts"].get(host, {}) for play in self.said["plays"] for task in play["tasks"]]
        return "\n".join(str(task.get("msg")) for task in tasks if task.get("failed"))

    def changes(self, host: str) -> list[str]:
        tasks = [task for play in self.said["plays"] for task in play["tasks"]]
        changed = [task["task"]["name"] for task in tasks if task["hosts"].get(host, {}).get("changed")]
        return [name.removeprefix("volume : ") for name in changed]


@dataclass(frozen=True)
class Host:
    """A mount namespace that lives as long as its process; `directory` is where tests keep its files."""

    process: int
    directory: Path

    @property
    def path(self) -> Path:
        return self.directory / "data"

    def run(self, *command: str, check: bool = True, **environment: str) -> str:
        inside = ["nsenter", "--mount", f"--target={self.process}", "--", *command]
        done = subprocess.run(
            inside,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", **environment},
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def play(self, hosts: Mapping[str, Mapping[str, Any]], *arguments: str) -> Ran:
        """Run the role on these hosts, which differ in their variables."""
        # Its package is there, or there would be no file system to try; Debian's modules for apt may be missing.
        arguments = ("--skip-tags=install", *arguments)
        common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory, play = self.directory / "inventory.yaml", self.directory / "play.yaml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": {name: dict(hosts[name]) for name in hosts}}}))
        play.write_text(yaml.safe_dump([{**PLAY[0], "vars": common}]))
        said = self.run(
            sys.executable,
            "-m",
            "ansible",
            "playbook",
            f"--inventory={inventory}",
            *arguments,
            str(play),
            check=False,
            PATH=f"{self.directory / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin",
            HOME=str(self.directory),
            ANSIBLE_CONFIG=str(ROOT / "playbooks/ansible.cfg"),
            ANSIBLE_ANY_ERRORS_FATAL="False",
            ANSIBLE_CACHE_PLUGIN="memory",
            ANSIBLE_HOME=str(self.directory / "ansible"),
            ANSIBLE_INVENTORY_ENABLED="yaml",
            ANSIBLE_PIPELINING="True",
            ANSIBLE_ROLES_PATH=str(ROOT / "playbooks/roles"),
            ANSIBLE_STDOUT_CALLBACK="ansible.posix.json",
        )
        return Ran(json.loads(said[said.index("{") :]))

    def given(self, disk: Disk) -> dict[str, Any]:
        return {
            "volume_device": str(disk.name),
            "volume_path": str(self.path),
            "volume_owner": OWNER,
            "volume_services": [SERVICE],
            "volume_wait": 1,
        }

    def mounted(self) -> str:
        """What is mounted at its path, of what type, and how."""
        return self.run("findmnt", "-n", "-o", "SOURCE,FSTYPE,OPTIONS", "--mountpoint", str(self.path), check=False)

    def reloads(self) -> int:
        told = self.directory / "systemctl"
        return told.read_text().count("daemon-reload") if told.exists() else 0


@contextmanager
def _host(directory: Path) -> Iterator[Host]:
    (directory / "bin").mkdir(parents=True)
    (directory / "etc").mkdir()
    # Whoever is process 1 of this machine is not to be told of units that are not its own.
    systemctl = directory / "bin/systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$@" >> {directory / "systemctl"}\n')
    systemctl.chmod(0o755)
    command = ["unshare", "--mount", "--propagation=private", "sh", "-c", HOLD, "sh", str(directory / "etc")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline(), "no namespace of mounts"
            yield Host(holder.pid, directory)
        finally:
            holder.kill()


@contextmanager
def _disk(directory: Path, name: str) -> Iterator[Disk]:
    """Attach a disk, empty.

    It is detached whatever happens; a disk that is still mounted then is let go of by the kernel with its last mount.
    """
    file = directory / f"{name}.img"
    file.touch()
    os.truncate(file, GROUP)
    try:
        device = _call("losetup", "--find", "--show", str(file)).strip()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no loop device can be had here: {getattr(error, 'stderr', None) or error}")
    try:
        # Found by a link, as udev makes it.
        link = directory / f"nvme-Amazon_Elastic_Block_Store_{name}"
        link.symlink_to(device)
        yield Disk(link, file)
    finally:
        _call("losetup", "--detach", device)


@pytest.fixture
def things(tmp_path: Path) -> Iterator[ExitStack]:
    """What is attached and started for a test; this machine is as it was afterwards."""
    if os.geteuid() != 0:
        pytest.skip("no loop device can be had here: it takes root")
    before = _own()
    with ExitStack() as stack:
        yield stack
    assert _own() == before
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
    assert str(tmp_path) not in _call("losetup", "--list")


def _own() -> dict[Path, bytes]:
    """What this machine has of its own where the role writes on a host."""
    files = [Path("/etc") / name for name in ("fstab", "passwd", "group")]
    units = [Path("/etc/systemd/system") / f"{SERVICE}.d/volume.conf"]
    return {file: file.read_bytes() for file in (*files, *units) if file.exists()}


@pytest.fixture
def disk(things: ExitStack, tmp_path: Path) -> Callable[[str], Disk]:
    return lambda name: things.enter_context(_disk(tmp_path, name))


def test_a_fresh_disk_is_mounted_and_a_second_run_changes_nothing(
    disk: Callable[[str], Disk], things: ExitStack, tmp_path: Path
) -> None:
    own, host = disk("vol0123456789abcdef0"), things.enter_context(_host(tmp_path / "host"))
    before = own.digest()
    checked = host.play({"database": host.given(own)}, "--check")
    assert checked.of("database")["failures"] == 0, checked.failure("database")
    assert (own.digest(), host.mounted(), host.path.exists(), host.reloads()) == (before, "", False, 0)
    ran = host.play({"database": host.given(own)})
    assert ran.of("database")["failures"] == 0, ran.failure("database")
    source, kind, options = host.mounted().split()
    assert (source, kind) == (own.device, "ext4")
    assert "noatime" in options.split(",")
    assert host.run("stat", "-c", "%U:%G", str(host.path)) == f"{OWNER}:{OWNER}\n"
    assert host.reloads() == 1
    unit = host.run("cat", f"/etc/systemd/system/{SERVICE}.d/volume.conf")
    assert {f"RequiresMountsFor={host.path}", f"AssertPathIsMountPoint={host.path}"} <= set(unit.splitlines())
    again = host.play({"database": host.given(own)})
    assert again.of("database") == {"failures": 0, "changed": 0}, again.changes("database")
    _is_mounted_by_each_boot(host, own)


def _is_mounted_by_each_boot(host: Host, own: Disk) -> None:
    host.run("umount", str(host.path))
    assert (host.mounted(), list(host.path.iterdir())) == ("", [])
    host.run("mount", str(host.path))
    assert host.mounted().startswith(own.device)
    assert f"{own.name} {host.path} ext4 noatime,nofail 0 2" in host.run("cat", "/etc/fstab")


def test_the_next_host_takes_a_disk_over_with_all_that_the_one_before_has_written(
    disk: Callable[[str], Disk], things: ExitStack, tmp_path: Path
) -> None:
    own = disk("vol0123456789abcdef0")
    with _host(tmp_path / "first") as host:
        ran = host.play({"database": host.given(own)})
        assert ran.of("database")["failures"] == 0, ran.failure("database")
        written = host.path / "17/main"
        host.run("install", "-d", "-o", OWNER, "-g", OWNER, "-m", "0700", str(written))
        host.run("sh", "-c", f"echo acknowledged > {written}/wal && chown {OWNER}:{OWNER} {written}/wal")
        was = host.run("id", "-u", OWNER)
    host = things.enter_context(_host(tmp_path / "second"))
    host.run("useradd", "--system", "somebody-else")
    ran = host.play({"database": host.given(own)})
    assert ran.of("database")["failures"] == 0, ran.failure("database")
    assert "Its file system; one that it has stays" not in ran.changes("database")
    assert host.run("id", "-u", OWNER) != was, "the second host was to have another number for the same user"
    assert host.run("stat", "-c", "%U:%G", f"{host.path}/17/main/wal") == f"{OWNER}:{OWNER}\n"
    assert host.run("stat", "-c", "%U:%G %a", f"{host.path}/17/main") == f"{OWNER}:{OWNER} 700\n"
    assert host.run("stat", "-c", "%U", f"{host.path}/lost+found") == "root\n"
    assert host.run("cat", f"{host.path}/17/main/wal") == "acknowledged\n"
    own.grow()
    grown = host.play({"database": host.given(own)}, "--check")
    assert grown.of("database")["failures"] == 0, grown.failure("database")
    assert grown.changes("database") == ["The file system grows with its disk"]


def _may_grow() -> bool:
    (effective,) = re.findall(r"CapEff:\s(\w+)", Path("/proc/self/status").read_text(encoding="utf-8"))
    return bool(int(effective, 16) >> CAP_SYS_RESOURCE & 1)


@pytest.mark.skipif(not _may_grow(), reason="ext4 grows while it is mounted for CAP_SYS_RESOURCE alone: not had here")
def test_a_file_system_grows_with_its_disk_while_it_is_in_use(
    disk: Callable[[str], Disk], things: ExitStack, tmp_path: Path
) -> None:
    own, host = disk("vol0123456789abcdef0"), things.enter_context(_host(tmp_path / "host"))
    for _ in range(2):
        ran = host.play({"database": host.given(own)})
        assert ran.of("database")["failures"] == 0, ran.failure("database")
        size = int(host.run("findmnt", "-n", "-b", "-o", "SIZE", "--mountpoint", str(host.path)))
        assert size > 0.8 * own.file.stat().st_size
        own.grow()


def test_what_would_be_lost_or_hidden_is_refused_and_stays_as_it_is(
    disk: Callable[[str], Disk], things: ExitStack, tmp_path: Path
) -> None:
    host = things.enter_context(_host(tmp_path / "host"))
    swap, table, fresh = disk("vol1"), disk("vol2"), disk("vol3")
    host.run("mkswap", swap.device)
    # The one partition of a table as fdisk writes it.
    entry = bytes([0, 0, 2, 0, 0x83, 0, 0, 0]) + (2048).to_bytes(4, "little") + (4096).to_bytes(4, "little")
    with Path(table.device).open("r+b") as opened:
        opened.seek(446)
        opened.write(entry + bytes(48) + b"\x55\xaa")
    (tmp_path / "used").mkdir()
    (tmp_path / "used/.hidden").write_text("a database")
    before = {each.name: each.digest() for each in (swap, table, fresh)}
    table_of_mounts = host.run("cat", "/etc/fstab")
    gone = tmp_path / "gone"
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "swap": (host.given(swap), f"{swap.name} of swap holds swap and not ext4, and was left as it is"),
        "table": (host.given(table), f"{table.name} of table holds dos and not ext4, and was left as it is"),
        "used": (host.given(fresh) | {"volume_path": str(tmp_path / "used")}, ".hidden of used does not lie on its"),
        "gone": (host.given(fresh) | {"volume_device": str(gone)}, f"gone has no disk {gone} after 1 seconds"),
        "file": (host.given(fresh) | {"volume_device": str(fresh.file)}, "is no block device"),
        "none": ({"volume_path": str(host.path), "volume_required": True}, "none has no volume for"),
        # No disk, none asked for: not one task has anything to do.
        "fleet": ({"volume_path": str(host.path)}, ""),
        "api": ({"volume_device": str(fresh.name)}, ""),
    }
    ran = host.play({name: given for name, (given, _) in cases.items()}, f"--forks={len(cases)}")
    for name, (_, sentence) in cases.items():
        assert sentence in ran.failure(name), name
        assert ran.of(name) == {"failures": 1 if sentence else 0, "changed": 0}, f"{name}: {ran.failure(name)}"
    assert {each.name: each.digest() for each in (swap, table, fresh)} == before
    assert (tmp_path / "used/.hidden").read_text() == "a database"
    assert (host.run("cat", "/etc/fstab"), host.mounted(), host.reloads()) == (table_of_mounts, "", 0)


def test_it_is_mounted_where_services_keep_their_data_before_there_is_any() -> None:
    playbooks = ROOT / "playbooks"
    (play,) = yaml.safe_load((playbooks / "base.yaml").read_text(encoding="utf-8"))
    assert play["pre_tasks"][0]["ansible.builtin.include_role"] == {"name": "volume"}
    kept = {
        "database": ("postgresql/templates/patroni.yaml.j2", "data_dir: "),
        "monitoring": ("prometheus/templates/prometheus.conf.j2", "--storage.tsdb.path="),
    }
    for group, (template, setting) in kept.items():
        given = yaml.safe_load((playbooks / f"group_vars/{group}.yaml").read_text(encoding="utf-8"))
        assert f"{setting}{given['volume_path']}/" in (playbooks / "roles" / template).read_text(encoding="utf-8")
