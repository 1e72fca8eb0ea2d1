"""A run that was killed at any point is resumed or rolled back, never half done, and all of it is in the trail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.runbooks.engine.killing import cases, kill_matrix

if TYPE_CHECKING:
    from pathlib import Path


def test_a_run_killed_anywhere_is_resumed_or_rolled_back_and_never_half_done(tmp_path: Path) -> None:
    counts = kill_matrix(tmp_path)
    every = list(cases())
    assert counts.otherwise == ()
    assert (counts.half_done, counts.not_in_trail) == (0, 0)
    assert counts.resumed == sum(how == "resume" and not failing for _, how, failing in every)
    assert counts.resumed + counts.rolled_back == len(every)
    assert counts.kills > len(every), "some were killed at the same point again"
