from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.fleet.asking import connects

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.environment import Environment

ALL = ("db1", "db2", "app1", "app2", "mon1", "lb1", "lb2")


def address(environment: Environment, name: str) -> str:
    return next(host.address for hosts in environment.hosts.values() for host in hosts if host.name == name)


@pytest.mark.parametrize("name", ALL)
def test_only_the_one_user_may_log_in_and_only_by_key(on: Callable[[str], Any], name: str) -> None:
    settings = on(name).check_output("sshd -T").splitlines()
    assert {"permitrootlogin no", "passwordauthentication no", "kbdinteractiveauthentication no"} <= set(settings)
    assert "allowusers deploy" in settings
    passwords = on(name).check_output("cut -d: -f1,2 /etc/shadow").splitlines()
    assert not [line for line in passwords if line.split(":")[1] not in {"!", "*", "!*", "!!"}], "nobody has a password"
    shells = on(name).check_output("grep -E ':/(usr/)?bin/(ba|da)?sh$' /etc/passwd | cut -d: -f1").split()
    assert set(shells) <= {"root", "deploy", "postgres"}


@pytest.mark.parametrize("name", ALL)
def test_the_firewall_drops_what_is_not_named(on: Callable[[str], Any], name: str) -> None:
    assert on(name).service("nftables").is_enabled
    rules = on(name).check_output("nft list chain inet simplicity input")
    assert "policy drop" in rules
    assert on(name).file("/etc/nftables.conf").mode == 0o600


@pytest.mark.parametrize("name", ALL)
def test_hosts_do_not_log_in_to_one_another(on: Callable[[str], Any], environment: Environment, name: str) -> None:
    asker = on("app1" if name != "app1" else "app2")
    assert not connects(asker, address(environment, name), 22)


@pytest.mark.parametrize("name", ALL)
def test_nothing_has_failed_and_the_journal_outlasts_a_boot(on: Callable[[str], Any], name: str) -> None:
    assert on(name).check_output("systemctl --failed --no-legend --plain") == ""
    assert on(name).file("/var/log/journal").is_directory
    assert on(name).file("/etc/systemd/journald.conf.d/simplicity.conf").contains("SystemMaxUse=")


@pytest.mark.parametrize("name", ALL)
def test_security_updates_come_by_themselves_and_never_to_the_database(on: Callable[[str], Any], name: str) -> None:
    settings = on(name).check_output("apt-config dump")
    assert 'APT::Periodic::Unattended-Upgrade "1";' in settings
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in settings
    assert "postgresql-" in settings.split("Unattended-Upgrade::Package-Blacklist", 1)[1]


@pytest.mark.parametrize("name", ALL)
def test_hosts_know_one_another_by_name_and_route_nothing(
    on: Callable[[str], Any], environment: Environment, name: str
) -> None:
    for other in ALL:
        assert on(name).addr(other).ipv4_addresses == [address(environment, other)]
    assert on(name).sysctl("net.ipv4.conf.all.rp_filter") == 1
    assert on(name).sysctl("net.ipv4.ip_forward") == 0
