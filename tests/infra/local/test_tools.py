from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.local import tools
from infra.local.layout import EnvelopeError

if TYPE_CHECKING:
    from pathlib import Path

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
