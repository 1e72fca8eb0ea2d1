"""What a host is given before it boots."""

from __future__ import annotations

import re
from pathlib import Path

from infra.fleet.hosts import hosts_file
from infra.fleet.plan import Plan

MEMBERS = Path(__file__).resolve().parents[3] / "playbooks/roles/base/tasks/members.yml"


def test_names_lie_where_playbooks_write_them_anew() -> None:
    """A host that comes back by its old name has another address: the old one must not stay beside it."""
    found = re.search(r'marker: "(.+)"', MEMBERS.read_text("utf-8"))
    assert found is not None
    first, *lines = hosts_file(Plan()).splitlines()
    assert first == "127.0.0.1 localhost"
    assert [lines[0], lines[-1]] == [found[1].replace("{mark}", word) for word in ("BEGIN", "END")]
    assert lines[1:-1] == [f"{Plan().address(each.number)} {each.name}" for each in Plan().hosts]
