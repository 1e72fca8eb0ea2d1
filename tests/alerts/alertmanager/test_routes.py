"""Who is told of what, as Alertmanager's own tools read the configuration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest
import yaml

from alerts import rulebook
from alerts.alertmanager import (
    BEAT,
    CRITICAL,
    SECRETS,
    WARNING,
    Chat,
    Mail,
    Pager,
    ReceiverError,
    Receivers,
    Webhook,
    committed,
    configuration,
)
from alerts.model import Scale, Severity, Team, seconds
from alerts.render import as_yaml
from tests.alerts.alertmanager.tools import amlint, amtool

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[3]
HOOK = Webhook(url="http://127.0.0.1:8090/alerts")
CHAT = Chat(api_url_file="/secrets/chat")
PAGER = Pager(routing_key_file="/secrets/pager")
MAIL = Mail(smarthost="mail.example.com:587", sender="from@example.com", to=("to@example.com",))
SHAPES = {
    "webhook": Receivers(webhook=HOOK),
    "mail": Receivers(mail=MAIL, heartbeat=HOOK),
    "chat": Receivers(chat=CHAT, heartbeat=HOOK),
    "chat and pager": Receivers(chat=CHAT, pager=PAGER, heartbeat=HOOK),
    "pager and mail": Receivers(pager=PAGER, mail=MAIL, heartbeat=HOOK),
    "chats of two teams": Receivers(webhook=HOOK, chat=CHAT, team_chats=(("api", CHAT), ("security", CHAT)), mail=MAIL),
}
FLEET = {
    Severity.CRITICAL: ("page", "people-{team}"),
    Severity.WARNING: ("people-{team}",),
}


def expected(alert: str, severity: str, team: str) -> list[str]:
    if alert == "Watchdog":
        return ["heartbeat"]
    return [name.format(team=team) for name in FLEET[Severity(severity)]]


def routed(file: Path, labels: Mapping[str, str]) -> list[str]:
    words = [f"{name}={value}" for name, value in labels.items()]
    return amtool("config", "routes", "test", f"--config.file={file}", *words).strip().split(",")


@pytest.fixture(scope="module")
def fleet() -> Path:
    ((path, _),) = committed().items()
    return ROOT / path


def test_the_committed_configuration_is_what_its_source_gives(fleet: Path) -> None:
    assert list(committed().values()) == [fleet.read_text()]


def test_alertmanagers_own_tool_and_its_linter_find_nothing_in_any_shape(fleet: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    for group in rulebook.groups():
        (rules / f"{group.name}.yaml").write_text(as_yaml(group))
    files = [fleet]
    for name, receivers in SHAPES.items():
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(configuration(receivers))
    amtool("check-config", *map(str, files))
    # A name in an inhibition that no rule has is found here, too.
    found = amlint("check", "--strict", "--rules", f"{rules}/*.yaml", *map(str, files))
    assert "No issues" in found


def test_every_alert_of_the_rulebook_reaches_those_that_it_is_for(fleet: Path) -> None:
    for name, severity, team in {(each.name, each.severity.value, each.team) for each in rulebook.alerts()}:
        labels = {"alertname": name, "severity": severity, "team": team, "cluster": "main"}
        assert routed(fleet, labels) == expected(name, severity, team), labels


def test_every_route_is_reached_by_some_severity_and_team(fleet: Path, tmp_path: Path) -> None:
    cases = [
        {
            "labels": {"alertname": "Any", "severity": severity.value, "team": team},
            "receivers": expected("Any", severity, team),
        }
        for severity in FLEET
        for team in get_args(Team)
    ]
    cases += [
        {"labels": {"alertname": "Any", "severity": "critical"}, "receivers": ["page", "people"]},
        {"labels": {"alertname": "Any", "severity": "warning"}, "receivers": ["people"]},
        # What nobody thought of is still told to people.
        {"labels": {"alertname": "Any"}, "receivers": ["people"]},
        {"labels": {"alertname": "Watchdog", "severity": "none"}, "receivers": ["heartbeat"]},
    ]
    table = tmp_path / "cases.yaml"
    table.write_text(yaml.safe_dump(cases))
    amlint("test", "--coverage", "--fail-under", "100", str(fleet), str(table))


@pytest.mark.parametrize(
    ("shape", "critical", "warning"),
    [
        ("webhook", {"people": ["webhook"]}, {"people": ["webhook"]}),
        ("mail", {"people": ["email"]}, {"people": ["email"]}),
        ("chat", {"people": ["slack"]}, {"people": ["slack"]}),
        ("chat and pager", {"page": ["pagerduty"], "people": ["slack"]}, {"people": ["slack"]}),
        ("pager and mail", {"page": ["pagerduty"], "people": ["email"]}, {"people": ["email"]}),
        (
            "chats of two teams",
            {"page": ["email"], "people-api": ["slack", "webhook"]},
            {"people-api": ["slack", "webhook"]},
        ),
    ],
)
def test_what_is_missing_is_stood_in_for_and_nobody_is_told_twice(
    shape: str, critical: dict[str, list[str]], warning: dict[str, list[str]], tmp_path: Path
) -> None:
    file = tmp_path / "alertmanager.yaml"
    file.write_text(configuration(SHAPES[shape]))
    kinds = {each["name"]: sorted(each.keys() - {"name"}) for each in yaml.safe_load(file.read_text())["receivers"]}
    for severity, ways in (("critical", critical), ("warning", warning)):
        found = routed(file, {"alertname": "ApiDown", "severity": severity, "team": "api"})
        assert {name: [kind.removesuffix("_configs") for kind in kinds[name]] for name in found} == ways
    assert kinds["heartbeat"] == ["webhook_configs"]


@pytest.mark.parametrize(
    ("receivers", "says"),
    [
        (Receivers(), "no receiver of alerts is configured"),
        (Receivers(pager=PAGER, heartbeat=HOOK), "warnings would reach nobody"),
        (Receivers(heartbeat=HOOK), "warnings would reach nobody"),
        (Receivers(chat=CHAT, pager=PAGER), "nobody would notice that alerts no longer travel"),
    ],
)
def test_receivers_that_leave_somebody_untold_are_refused_in_one_line(receivers: Receivers, says: str) -> None:
    with pytest.raises(ReceiverError, match=says) as refusal:
        configuration(receivers)
    assert "\n" not in str(refusal.value)


def test_a_webhook_without_an_address_or_with_two_is_refused() -> None:
    with pytest.raises(ReceiverError, match="either a url or a url_file"):
        Webhook()
    with pytest.raises(ReceiverError, match="either a url or a url_file"):
        Webhook(url="http://127.0.0.1/", url_file="/secrets/url")


def test_what_is_critical_is_told_sooner_and_more_often_and_the_dead_mans_switch_each_minute() -> None:
    root = yaml.safe_load(configuration(SHAPES["webhook"]))["route"]
    beat, critical, _ = root["routes"]
    assert (root["group_wait"], root["group_interval"], root["repeat_interval"]) == ("1m", "5m", "12h")
    assert (critical["group_wait"], critical["group_interval"], critical["repeat_interval"]) == ("10s", "1m", "1h")
    assert (beat["group_wait"], beat["repeat_interval"]) == ("1s", "1m")


@pytest.mark.parametrize("factor", [2, 60, 1440, 100_000])
def test_a_scaled_configuration_never_waits_less_than_a_second_and_never_longer_than_the_real_one(
    factor: float, tmp_path: Path
) -> None:
    def waits(text: str) -> list[float]:
        root = yaml.safe_load(text)["route"]
        names = ("group_wait", "group_interval", "repeat_interval")
        return [seconds(route[name]) for route in (root, *root["routes"]) for name in names if name in route]

    text = configuration(SHAPES["webhook"], scale=Scale(factor=factor))
    for scaled, real in zip(waits(text), waits(configuration(SHAPES["webhook"])), strict=True):
        assert 1 <= scaled <= real
    file = tmp_path / "alertmanager.yaml"
    file.write_text(text)
    amtool("check-config", str(file))
    amlint("check", "--strict", str(file))


def test_the_committed_configuration_names_secrets_and_holds_none(fleet: Path) -> None:
    text = fleet.read_text()
    secrets = [line.split(":", 1)[1].strip() for line in text.splitlines() if "_file:" in line]
    assert secrets
    assert all(each.startswith("/etc/alertmanager/secrets/") for each in secrets)
    for key in (
        "api_url:",
        "routing_key:",
        "service_key:",
        "auth_password:",
        "credentials:",
        "bearer_token:",
        "password:",
    ):
        assert key not in text


def test_the_page_about_alerting_says_what_the_configuration_does(fleet: Path) -> None:
    page = (ROOT / "docs/alerting.md").read_text()
    units = {"s": "s", "m": "min", "h": "h"}
    for severity, pace in (("critical", CRITICAL), ("warning", WARNING), ("none", BEAT)):
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{severity}`"))
        told = [f"{text[:-1]} {units[text[-1]]}" for text in (pace.wait, pace.interval, pace.repeat)]
        assert row.endswith("| " + " | ".join(told) + " |"), severity
    for team in get_args(Team):
        assert f"{SECRETS}/chat-url-{team}" in fleet.read_text()
    named = {Path(line.split()[-1]).name for line in fleet.read_text().splitlines() if f"{SECRETS}/" in line}
    assert {f"`{name}`" for name in named if not name.startswith("chat-url-")} <= set(re.findall(r"`[^`\n]+`", page))
