"""The generated parts of docs/cloud.md."""

from __future__ import annotations

import pytest

from infra.cloud import stacks
from infra.cloud.cost import page as pages
from infra.cloud.cost.meaning import MEANINGS, paths
from infra.cloud.cost.page import PageError, estimates, page, settings
from infra.cloud.cost.prices import table
from tests.support.scripts import script

checked = script("check_cloud")

EMPTY = "a\n" + "\n".join(
    f"<!-- {name}: generated -->\n<!-- /{name} -->" for name in ("settings", "stacks", "estimates")
)


def test_the_committed_page_is_what_settings_stacks_and_prices_give() -> None:
    text = (checked.ROOT / checked.PAGE).read_text(encoding="utf-8")
    assert checked.generated() == {checked.PAGE: text}


def test_what_is_written_by_hand_stays_and_a_second_run_changes_nothing() -> None:
    once = page(EMPTY + "\nb")
    assert once.startswith("a\n<!-- settings: generated -->\n| setting |")
    assert once.endswith("<!-- /estimates -->\nb")
    assert page(once) == once


def test_every_setting_has_a_row_with_its_default() -> None:
    rows = settings(table())
    for path in paths():
        assert f"| `{'aws:region' if path == 'region' else path}` |" in rows
    assert "| `database.readers` | `2` |" in rows
    assert "| `names.domain` | required |" in rows
    assert "`api.maximum` | `10` | How far" in rows


def test_every_stack_has_a_column_of_its_costs() -> None:
    first = estimates(table()).splitlines()[0]
    assert first == f"| USD a month | {' | '.join(f'`{name}`' for name in stacks.names())} |"


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(PageError, match="the page lacks `<!-- settings: generated -->`"):
        page("nothing")


def test_a_setting_that_nobody_explained_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MEANINGS", {path: each for path, each in MEANINGS.items() if path != "owner"})
    with pytest.raises(PageError, match="owner: is not explained"):
        page(EMPTY)
