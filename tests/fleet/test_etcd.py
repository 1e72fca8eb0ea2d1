from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.fleet.asking import connects, tls
from tests.fleet.test_base import address

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.environment import Environment

VOTES = ("db1", "db2", "mon1")
CERTIFIED = "--cacert=/etc/simplicity/tls/ca.pem --cert=/etc/simplicity/tls/host.pem --key=/etc/simplicity/tls/host.key"


@pytest.mark.parametrize("name", VOTES)
def test_three_members_agree_on_a_leader(on: Callable[[str], Any], environment: Environment, name: str) -> None:
    at = f"--endpoints=https://{address(environment, name)}:2379"
    members = on(name).check_output(f"etcdctl {at} {CERTIFIED} member list").splitlines()
    assert sorted(line.split(", ")[2] for line in members) == sorted(VOTES)
    assert on(name).run(f"etcdctl {at} {CERTIFIED} endpoint health").rc == 0


@pytest.mark.parametrize("name", VOTES)
def test_nobody_reads_it_without_a_certificate(on: Callable[[str], Any], environment: Environment, name: str) -> None:
    at = f"--endpoints=https://{address(environment, name)}:2379 --dial-timeout=2s --command-timeout=2s"
    assert on(name).run(f"etcdctl {at} --cacert=/etc/simplicity/tls/ca.pem get / --prefix").rc != 0
    assert on(name).run(f"etcdctl --endpoints=http://{address(environment, name)}:2379 get / --prefix").rc != 0
    assert tls(on(name), address(environment, name), 2379, "TLSv1_1") != "TLSv1.1"


@pytest.mark.parametrize("name", VOTES)
def test_only_those_who_vote_or_lead_reach_it(on: Callable[[str], Any], environment: Environment, name: str) -> None:
    for port in (2379, 2380):
        assert not connects(on("app1"), address(environment, name), port)
        assert not connects(on("lb1"), address(environment, name), port)


@pytest.mark.parametrize("name", VOTES)
def test_its_data_is_its_own(on: Callable[[str], Any], name: str) -> None:
    data = on(name).file("/var/lib/etcd")
    assert (data.user, data.mode) == ("etcd", 0o700)
    assert on(name).service("etcd").is_running
    assert on(name).service("etcd").is_enabled
