from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.fleet.test_base import ALL, address

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.environment import Environment

TLS = "/etc/simplicity/tls"


@pytest.mark.parametrize("name", ALL)
def test_the_key_never_left_its_host_and_few_read_it(on: Callable[[str], Any], name: str) -> None:
    key = on(name).file(f"{TLS}/host.key")
    assert (key.mode, key.user, key.group) == (0o640, "root", "tls")
    assert on(name).run(f"sudo -u nobody cat {TLS}/host.key").rc != 0
    keys = {on(each).file(f"{TLS}/host.key").sha256sum for each in ALL}
    assert len(keys) == len(ALL), "each host has a key of its own"


@pytest.mark.parametrize("name", ALL)
def test_the_certificate_is_the_authoritys_names_the_host_and_is_far_from_its_end(
    on: Callable[[str], Any], environment: Environment, name: str
) -> None:
    host = on(name)
    assert host.run(f"openssl verify -CAfile {TLS}/ca.pem {TLS}/host.pem").rc == 0
    assert host.run(f"openssl x509 -noout -checkend {30 * 86_400} -in {TLS}/host.pem").rc == 0
    names = host.check_output(f"openssl x509 -noout -ext subjectAltName -in {TLS}/host.pem")
    assert f"DNS:{name}" in names
    assert f"IP Address:{address(environment, name)}" in names
    virtual = environment.endpoints.api.removeprefix("https://").partition(":")[0]
    assert (f"IP Address:{virtual}" in names) == name.startswith("lb")


@pytest.mark.parametrize("name", ALL)
def test_the_authoritys_key_is_on_no_host(on: Callable[[str], Any], name: str) -> None:
    assert on(name).file(TLS).listdir().__len__() >= 3
    assert not [each for each in on(name).file(TLS).listdir() if "ca" in each and each.endswith("key")]
