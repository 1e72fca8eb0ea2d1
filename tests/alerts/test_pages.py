from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

from alerts import pages, rulebook
from alerts.burn import WINDOWS
from alerts.later import LATER
from alerts.model import Scale
from alerts.slo import slo
from tests.support.scripts import ROOT, script

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

CHECK = ROOT / ".ci/check_alerts.py"


@pytest.fixture(scope="module")
def check() -> ModuleType:
    return script("check_alerts")


def test_committed_rules_and_pages_are_what_the_rules_give(check: Any) -> None:  # noqa: ANN401 - a script
    assert check.stale(ROOT, check.generated()) == []


def test_stale_files_are_named_written_and_removed(check: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a script
    (tmp_path / "alerts/rules").mkdir(parents=True)
    (tmp_path / "alerts/rules/gone.yaml").write_text("groups: []\n", encoding="utf-8")
    texts = {"alerts/rules/new.yaml": "groups: []\n", "docs/slo.md": "# Objectives\n"}
    assert check.stale(tmp_path, texts) == ["alerts/rules/gone.yaml", "alerts/rules/new.yaml", "docs/slo.md"]
    check.write(tmp_path, texts)
    assert check.stale(tmp_path, texts) == []
    assert not (tmp_path / "alerts/rules/gone.yaml").exists()


def test_a_stale_file_fails_the_check_with_what_to_run(
    check: Any,  # noqa: ANN401 - a script
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(check, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["check_alerts.py", "--check"])
    assert check.main() == 1
    assert (
        "docs/slo.md is not what the rules give; run: .venv/bin/python .ci/check_alerts.py" in capsys.readouterr().err
    )
    monkeypatch.setattr(sys, "argv", ["check_alerts.py"])
    assert check.main() == 0
    monkeypatch.setattr(sys, "argv", ["check_alerts.py", "--check"])
    assert check.main() == 0


def test_the_page_of_alerts_has_each_alert_with_its_answer_and_dashboard() -> None:
    page = pages.alerts_page(rulebook.groups(), slo())
    for alert in rulebook.alerts():
        assert f"| `{alert.name}`" in page
        assert f"[{alert.runbook}](runbooks/{alert.runbook}.md)" in page
        assert f"[{alert.dashboard}](../dashboards/generated/{alert.dashboard}.json)" in page
    assert "{{" not in page
    table, later = page.split("\n## Not yet, and why\n")
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert {line.count(" | ") for line in rows} == {6}
    assert {line.count(" | ") for line in later.splitlines() if line.startswith("| ")} == {3}


def test_the_page_of_alerts_says_what_there_is_not_yet_and_why() -> None:
    page = pages.alerts_page(rulebook.groups(), slo())
    for each in LATER:
        assert f"| {each.fault} | {each.condition} | {each.reason} | {each.meanwhile} |" in page
    names = {name for each in LATER for name in re.findall(r"`(\w+)`", each.meanwhile)}
    assert names
    assert names <= {alert.name for alert in rulebook.alerts()}


def test_the_page_of_objectives_says_who_pages_nobody_and_what_counts_for_nothing() -> None:
    page = pages.slo_page(slo())
    assert "Pages nobody, all its tiers are warnings: Backup freshness." in page
    assert "what was\nrecorded each 30 minutes" in page
    assert "silent until a tier's long window is known" in page


def test_the_page_of_objectives_has_the_budgets_in_what_people_count() -> None:
    page = pages.slo_page(slo())
    assert "| Indexing freshness | 99.9 % of minutes | 43.2 minutes |" in page
    assert "| API availability | 99.9 % of requests | 1 of 1 000 requests |" in page
    assert "| API latency | 95 % of requests within 20 ms | 50 of 1 000 requests |" in page
    assert all(" ".join(objective.reason.split()) in page for objective in slo().objectives)


def test_a_total_outage_is_noticed_after_its_share_of_the_window_and_the_hold() -> None:
    # 1.44 % of an hour are 52 seconds, and two minutes are waited; 72 % are 43 minutes.
    assert pages.noticed(WINDOWS[0], 0.001) == "3 min"
    assert pages.noticed(WINDOWS[0], 0.05) == "45 min"
    # What is read from tiles may be half an hour late: 4.3 minutes of three days, and three hours are waited.
    assert pages.noticed(WINDOWS[2], 0.001) == "up to 94 min"
    assert pages.noticed(WINDOWS[3], 0.001) == "up to 3.6 h"
    assert pages.noticed(WINDOWS[0], 0.1) == "never"


def test_a_summary_in_words_names_what_its_templates_stand_for() -> None:
    said = pages.words("{{ $labels.instance }} has {{ $value | humanize }} of\n {{ if true }}many{{ end }}")
    assert said == "*instance* has *N* of many"


def test_an_alert_is_shown_with_its_condition_reason_and_answer() -> None:
    text = pages.shown(rulebook.named("ApiLatencyBurn")[0], Scale(factor=60))
    for part in ("critical, team api", "tier=1", "for        4s", "simplicity runbook show answer-slow-api"):
        assert part in text
    companion = pages.shown(rulebook.named("ApiDown")[0], Scale())
    assert 'absent(up{job="api"})' in companion
