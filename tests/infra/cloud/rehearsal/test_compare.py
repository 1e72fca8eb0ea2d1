"""What counts as the same, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from infra.cloud.rehearsal.compare import changed, same
from infra.cloud.rehearsal.values import UNKNOWN, plain, structure


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("a", "a"),
        (5, "5"),
        (5.0, 5),
        (True, "true"),
        (False, None),
        ([], None),
        ("", None),
        (["a", "b"], ["b", "a"]),
        ({"a": 1}, {"a": 1, "added": "by AWS"}),
        ('{"a": [1, 2]}', '{ "a" : [2, 1] }'),
        ([{"port": 1}, {"port": 2}], [{"port": 2, "id": "x"}, {"port": 1, "id": "y"}]),
    ],
)
def test_the_same_is_the_same_however_aws_writes_it(wanted: Any, found: Any) -> None:  # noqa: ANN401 - JSON
    assert same(wanted, found)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("a", "b"),
        (True, None),
        (False, True),
        ([], ["opened"]),
        (["a"], ["a", "a"]),
        ({"a": 1}, {"a": 2}),
        ('{"a": 1}', '{"a": 2}'),
        ("{broken", "{other"),
        (UNKNOWN, UNKNOWN),
        ({"a": [UNKNOWN]}, {"a": [UNKNOWN]}),
    ],
)
def test_what_differs_differs(wanted: Any, found: Any) -> None:  # noqa: ANN401 - JSON
    assert not same(wanted, found)


def test_a_property_that_nobody_set_is_awss_own_affair_until_somebody_takes_it_away() -> None:
    assert changed({"size", "zone"}, {"size": 1}, {"size": 1, "zone": "a"}, {"size": 1}) == ()
    assert changed({"size", "zone"}, {"size": 1}, {"size": 1, "zone": "a"}, {"size": 1, "zone": "a"}) == ("zone",)


def test_a_tag_too_many_is_a_difference() -> None:
    assert changed({"tags"}, {"tags": {"a": "b"}}, {"tags": {"a": "b", "drifted": "yes"}}, {}) == ("tags",)


def test_what_somebody_adds_inside_a_block_is_a_difference_where_aws_itself_adds_nothing() -> None:
    wanted = {"rules": [{"name": "rate", "block": {}}]}
    found = {"rules": [{"name": "rate", "block": {}, "except": ["192.0.2.1"]}]}
    assert changed({"rules"}, wanted, found, {}) == ()
    assert changed({"rules"}, wanted, found, {}, frozenset({"rules"})) == ("rules",)
    assert (
        changed({"rules"}, wanted, {"rules": [{**wanted["rules"][0], "more": False}]}, {}, frozenset({"rules"})) == ()
    )


def test_values_come_back_from_the_wire_as_they_were() -> None:
    values = {"text": "a", "whole": 5, "part": 0.5, "yes": True, "list": [1, {"a": "b"}], "none": None}
    assert plain(structure(values)) == {name: value for name, value in values.items() if value is not None}


def test_a_secret_comes_without_its_mark() -> None:
    mark = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": "hunter2"}
    assert plain(structure({"password": mark})) == {"password": "hunter2"}
