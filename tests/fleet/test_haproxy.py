from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

import pytest

from tests.fleet.asking import connects, tls
from tests.fleet.control import trusting, waited
from tests.fleet.test_base import address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from infra.environment import Environment

BALANCERS = ("lb1", "lb2")
METRICS = 8404
READ = "/v1/indexer/brc20/list?limit=3"
CURL = "curl --silent --max-time 5 --cacert /etc/simplicity/tls/ca.pem"


def weights(host: Any, *wanted: str) -> dict[str, int]:  # noqa: ANN401 - testinfra has no types
    said = json.loads(host.check_output(" ".join(("simplicity-weights", *wanted))))
    return dict(said["colours"])


def get(environment: Environment, at: str, path: str) -> tuple[int, dict[str, str]]:
    try:
        with urllib.request.urlopen(f"https://{at}{path}", timeout=5, context=trusting(environment)) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}
    except HTTPError as error:
        return error.code, {}


@pytest.fixture
def idle(on: Callable[[str], Any]) -> Iterator[Any]:
    """A balancer that does not have the shared address: nobody notices what is done to it."""
    host = next(on(name) for name in BALANCERS if " 10.88.0.10/" not in on(name).check_output("ip -4 -brief address"))
    before = weights(host)
    yield host
    weights(host, *(f"{colour}={weight}" for colour, weight in before.items()))


def test_people_reach_the_api_at_the_shared_address_with_a_certificate_of_ours(
    on: Callable[[str], Any], environment: Environment
) -> None:
    shared = environment.endpoints.api.removeprefix("https://")
    status, headers = get(environment, shared, READ)
    assert status == 200
    live = max(weights(on("lb1")).items(), key=lambda each: each[1])[0]
    assert on("app1").file(f"/opt/simplicity/{live}").linked_to.endswith(f"/{headers['x-release']}")
    assert "http/2" in on("db1").check_output(f"{CURL} --head https://{shared}/health").lower()


@pytest.mark.parametrize("name", BALANCERS)
def test_old_tls_is_refused(on: Callable[[str], Any], environment: Environment, name: str) -> None:
    at = address(environment, name)
    for version in ("TLSv1", "TLSv1_1"):
        assert tls(on("db1"), at, 443, version) in {"SSLError", "ConnectionResetError", "SSLEOFError"}
    assert tls(on("db1"), at, 443, "TLSv1_2") == "TLSv1.2"
    assert tls(on("db1"), at, 443, "TLSv1_3") == "TLSv1.3"


@pytest.mark.parametrize("name", BALANCERS)
@pytest.mark.parametrize("path", ["/metrics", "/health/detailed", "/%6detrics", "//metrics"])
def test_what_is_for_operators_is_closed_to_the_outside(
    on: Callable[[str], Any], environment: Environment, name: str, path: str
) -> None:
    status = on("db1").check_output(
        f"{CURL} --path-as-is --output /dev/null --write-out '%{{http_code}}' -H 'X-Forwarded-For: 127.0.0.1' "
        f"https://{address(environment, name)}{path}"
    )
    assert status in {"401", "403", "404"}


@pytest.mark.parametrize("name", BALANCERS)
def test_its_metrics_and_its_socket_are_for_those_who_run_it(
    on: Callable[[str], Any], environment: Environment, name: str
) -> None:
    at = address(environment, name)
    assert not connects(on("app1"), at, METRICS)
    assert not connects(on("db1"), at, METRICS)
    assert connects(on("mon1"), at, METRICS)
    assert get(environment, f"{at}:{METRICS}", "/metrics")[0] == 200
    assert on(name).file("/run/haproxy/admin.sock").mode == 0o600
    assert on(name).check_output("ps -o user= -C haproxy | sort -u").split() == ["haproxy", "root"]


def test_both_balancers_have_the_same_weights(on: Callable[[str], Any]) -> None:
    assert weights(on("lb1")) == weights(on("lb2"))


@pytest.mark.parametrize("how", ["reload", "restart"])
def test_weights_outlast_a_reload_and_a_restart(idle: Any, how: str) -> None:  # noqa: ANN401 - as above
    assert weights(idle, "blue=70", "green=30") == {"blue": 70, "green": 30}
    idle.check_output(f"systemctl {how} haproxy")
    assert waited(lambda: weights(idle) == {"blue": 70, "green": 30}, 5)
    assert json.loads(idle.check_output("simplicity-weights settle"))["changed"] is False


@pytest.mark.parametrize("wrong", ["red=5", "blue=257", "blue=-1", "blue=x", "blue=0 green=0", "blue"])
def test_weights_that_cannot_be_are_refused(idle: Any, wrong: str) -> None:  # noqa: ANN401 - as above
    before = weights(idle)
    assert idle.run(f"simplicity-weights {wrong}").rc == 2
    assert weights(idle) == before


def test_an_answer_is_kept_for_others_but_not_for_who_says_who_he_is(environment: Environment) -> None:
    at = address(environment, "lb1")

    def is_kept() -> bool:
        return get(environment, at, READ)[1]["cache-status"] == "haproxy; hit"

    assert waited(is_kept, 5)
    request = urllib.request.Request(f"https://{at}{READ}", headers={"X-API-Key": "nobody's"})
    with pytest.raises(HTTPError, match="401"):
        urllib.request.urlopen(request, timeout=5, context=trusting(environment))  # noqa: S310 - https
