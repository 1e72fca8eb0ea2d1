from __future__ import annotations

import json
import re
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.fleet.asking import connects, tls
from tests.fleet.control import trusting
from tests.fleet.test_base import address

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.environment import Environment

HOSTS = ("app1", "app2")
COLOURS = {"blue": 8441, "green": 8442}
SYNC = 9102
WRITES = re.compile(r'^simplicity_sync_role\{simplicity_sync_role="writer"\} 1', re.MULTILINE)


def enabled(host: Any) -> list[str]:  # noqa: ANN401 - testinfra has no types
    return [colour for colour in COLOURS if host.service(f"simplicity-api@{colour}").is_enabled]


def get(environment: Environment, url: str) -> tuple[str, dict[str, str]]:
    with urllib.request.urlopen(url, timeout=5, context=trusting(environment)) as answer:  # noqa: S310 - https
        return answer.read().decode(), {name.lower(): value for name, value in answer.headers.items()}


@pytest.mark.parametrize("name", HOSTS)
def test_each_colour_that_runs_is_ready_and_says_which_release_it_is(
    on: Callable[[str], Any], environment: Environment, name: str
) -> None:
    assert enabled(on(name))
    for colour in enabled(on(name)):
        assert on(name).service(f"simplicity-api@{colour}").is_running
        release = on(name).file(f"/opt/simplicity/{colour}").linked_to.removeprefix("/opt/simplicity/releases/")
        at = f"https://{address(environment, name)}:{COLOURS[colour]}"
        body, headers = get(environment, f"{at}/health")
        assert (json.loads(body)["release"], headers["x-release"]) == (release, release)
        assert json.loads(get(environment, f"{at}/health/ready")[0]) == {"status": "ready"}


def test_one_sync_writes_and_the_others_stand_by(on: Callable[[str], Any], environment: Environment) -> None:
    said = [get(environment, f"https://{address(environment, name)}:{SYNC}/metrics")[0] for name in HOSTS]
    assert [bool(WRITES.search(each)) for each in said].count(True) == 1
    assert all(on(name).service("simplicity-sync").is_enabled for name in HOSTS)


@pytest.mark.parametrize("name", HOSTS)
def test_what_runs_may_change_nothing_of_itself(on: Callable[[str], Any], name: str) -> None:
    user = on(name).user("simplicity")
    assert user.shell == "/usr/sbin/nologin"
    assert set(user.groups) == {"simplicity", "tls"}
    foreign = on(name).check_output(
        "find /opt/simplicity -not -type l '(' -not -user root -o -perm /022 ')' -print -quit"
    )
    assert foreign == ""
    for file in ("indexer.env", "api.env", "sync.env", "api-blue.env", "api-green.env", "auth_key_ring.json"):
        found = on(name).file(f"/etc/simplicity/{file}")
        assert (found.user, found.group, found.mode) == ("root", "simplicity", 0o640), file


@pytest.mark.parametrize("name", HOSTS)
def test_no_secret_is_in_the_arguments_of_a_process(
    on: Callable[[str], Any], environment: Environment, name: str
) -> None:
    running = on(name).check_output("ps -eo args")
    for secret in environment.secrets.values():
        with open(secret.name, encoding="utf-8") as file:  # noqa: PTH123 - as it is named
            assert file.read().strip() not in running


@pytest.mark.parametrize("name", HOSTS)
def test_every_release_that_is_named_is_whole(on: Callable[[str], Any], name: str) -> None:
    for link in ("current", *enabled(on(name))):
        assert on(name).file(f"/opt/simplicity/{link}/.complete").exists
        assert on(name).file(f"/opt/simplicity/{link}/manifest.json").exists


def test_tokens_of_one_host_are_good_on_the_others(on: Callable[[str], Any]) -> None:
    rings = {on(name).check_output("sha256sum < /etc/simplicity/auth_key_ring.json") for name in HOSTS}
    assert len(rings) == 1


@pytest.mark.parametrize("name", HOSTS)
def test_only_who_has_business_there_reaches_it_and_over_tls_alone(
    on: Callable[[str], Any], environment: Environment, name: str
) -> None:
    at = address(environment, name)
    for colour in enabled(on(name)):
        assert connects(on("lb1"), at, COLOURS[colour])
        assert not connects(on("db1"), at, COLOURS[colour])
        assert tls(on("lb1"), at, COLOURS[colour], "TLSv1_3") == "TLSv1.3"
        assert tls(on("lb1"), at, COLOURS[colour], "TLSv1_1") != "TLSv1.1"
        plain = on("lb1").run(f"curl --silent --max-time 3 http://{at}:{COLOURS[colour]}/health")
        assert plain.stdout == ""
    assert not connects(on("lb1"), at, SYNC)
    assert not connects(on("db1"), at, SYNC)
    assert connects(on("mon1"), at, SYNC)
