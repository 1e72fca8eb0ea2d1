"""Alerts that a real Alertmanager delivers: to chat, pager, mail, a webhook and the dead man's switch."""

from __future__ import annotations

import base64
import email
import email.policy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from alerts.alertmanager import Chat, Mail, Pager, Receivers, Webhook, configuration
from alerts.model import Scale
from tests.alerts.delivery.servers import Http, Server, Smtp, alertmanager, http_server, smtp_server

if TYPE_CHECKING:
    from collections.abc import Iterator

# The paths of these are their secrets, as with Slack's.
CHAT, TEAM_CHAT, HEARTBEAT = "/chat/T0-hidden", "/chat/T1-hidden", "/beat/hidden"
PAGER = "/v2/enqueue"
SECRETS = {
    "chat-url": "",
    "chat-url-database": "",
    "heartbeat-url": "",
    "pager-key": "routing-key-that-is-secret",
    "mail-password": "password-that-is-secret",
    "token": "token-that-is-secret",
}
# Waits are a second or two, as the floors have it.
FAST = Scale(factor=600)


@dataclass(frozen=True)
class Setting:
    """An Alertmanager and all that it delivers to."""

    server: Server
    http: Http
    smtp: Smtp
    configuration: str

    def wait(self, path: str, *names: str, status: str = "firing") -> dict[str, Any]:
        """Return the body of the first webhook message of this status with all these alerts' summaries in it."""
        found: dict[str, Any] = self.http.inboxes[path].wait(
            lambda message: message["body"].get("status") == status and all(name in str(message) for name in names)
        )
        return found


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    with http_server("/operations", CHAT, TEAM_CHAT, HEARTBEAT, PAGER) as http, smtp_server() as smtp:
        addresses = {"chat-url": CHAT, "chat-url-database": TEAM_CHAT, "heartbeat-url": HEARTBEAT}
        for name, value in SECRETS.items():
            # As an editor leaves it, with a line's end.
            (tmp_path / name).write_text((http.url + addresses[name] if name in addresses else value) + "\n")
        receivers = Receivers(
            webhook=Webhook(url=f"{http.url}/operations", credentials_file=str(tmp_path / "token")),
            pager=Pager(routing_key_file=str(tmp_path / "pager-key"), url=f"{http.url}{PAGER}"),
            chat=Chat(api_url_file=str(tmp_path / "chat-url"), channel="#operations"),
            team_chats=(("database", Chat(api_url_file=str(tmp_path / "chat-url-database"))),),
            mail=Mail(
                smarthost=smtp.address,
                sender="alerts@example.com",
                to=("first@example.com", "second@example.com"),
                username="alerts",
                auth_password_file=str(tmp_path / "mail-password"),
                require_tls=False,
            ),
            heartbeat=Webhook(url_file=str(tmp_path / "heartbeat-url")),
        )
        text = configuration(receivers, scale=FAST)
        with alertmanager(tmp_path, text) as server:
            yield Setting(server, http, smtp, text)


def alert(name: str, severity: str, team: str, *, summary: str, ends: float = 600, **labels: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "labels": {"alertname": name, "severity": severity, "team": team, "cluster": "local"} | labels,
        "annotations": {
            "summary": summary,
            "description": "Wallets see errors <b>everywhere</b> & more.",
            "runbook_url": "https://docs.example.com/runbooks/answer-api-down.md",
            "dashboard_url": "https://docs.example.com/dashboards/api",
        },
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(seconds=ends)).isoformat(),
    }


def test_a_critical_alert_reaches_pager_chat_mail_and_webhook_and_its_end_does_too(setting: Setting) -> None:
    down = alert("ApiDown", "critical", "api", summary="api-1 is down", instance="api-1")
    setting.server.post(down)

    page = setting.http.inboxes[PAGER].wait(lambda message: message["body"]["event_action"] == "trigger")["body"]
    assert page["routing_key"] == SECRETS["pager-key"]
    assert page["client"] == "Simplicity"
    assert page["payload"]["severity"] == "critical"
    assert page["payload"]["summary"] == "FIRING critical: ApiDown in local - api-1 is down"
    assert (page["payload"]["class"], page["payload"]["component"], page["payload"]["group"]) == (
        "ApiDown",
        "api",
        "local",
    )
    assert page["payload"]["custom_details"]["runbook"] == down["annotations"]["runbook_url"]
    assert [link["text"] for link in page["links"]] == ["What to do", "Dashboard"]

    chat = setting.http.inboxes[CHAT].wait(lambda message: "FIRING" in str(message))["body"]
    assert chat["channel"] == "#operations"
    (attachment,) = chat["attachments"]
    assert attachment["color"] == "danger"
    assert attachment["title"] == "FIRING critical: ApiDown in local"
    assert attachment["title_link"] == down["annotations"]["runbook_url"]
    for part in (
        *down["annotations"].values(),
        'simplicity alerts silence --for 2h --comment "WHY" alertname=ApiDown cluster=local',
    ):
        assert part in attachment["text"]

    mail = read(setting.smtp.inbox.wait(lambda message: "FIRING" in message["text"]))
    assert base64.b64decode(mail["login"]).split(b"\0")[1:] == [b"alerts", SECRETS["mail-password"].encode()]
    assert mail["from"] == "alerts@example.com"
    assert [line.partition("<")[2] for line in mail["to"]] == ["first@example.com>", "second@example.com>"]
    assert mail["subject"] == "FIRING critical: ApiDown in local"
    assert "Wallets see errors <b>everywhere</b> & more." in mail["body"]
    assert down["annotations"]["runbook_url"] in mail["body"]

    webhook = setting.wait("/operations", "ApiDown")
    assert webhook["headers"]["Authorization"] == f"Bearer {SECRETS['token']}"
    assert webhook["body"]["version"] == "4"
    assert webhook["body"]["groupLabels"] == {"alertname": "ApiDown", "cluster": "local"}
    assert webhook["body"]["alerts"][0]["annotations"] == down["annotations"]

    over = datetime.now(UTC).isoformat()
    setting.server.post(down | {"endsAt": over})
    ended = setting.http.inboxes[PAGER].wait(lambda message: message["body"]["event_action"] == "resolve")["body"]
    assert ended["dedup_key"] == page["dedup_key"]
    good = setting.http.inboxes[CHAT].wait(lambda message: "RESOLVED" in str(message))["body"]["attachments"][0]
    assert good["color"] == "good"
    assert "resolved: api-1 is down" in good["text"]
    assert read(setting.smtp.inbox.wait(lambda message: "RESOLVED" in message["text"]))["subject"].startswith(
        "RESOLVED"
    )
    assert setting.wait("/operations", "ApiDown", status="resolved")["body"]["alerts"][0]["status"] == "resolved"
    assert not setting.http.inboxes[TEAM_CHAT].messages
    assert not setting.http.inboxes[HEARTBEAT].messages


def test_alerts_of_one_kind_come_in_one_message_and_a_warning_goes_to_its_teams_chat_alone(setting: Setting) -> None:
    setting.server.post(
        *(
            alert("LongTransaction", "warning", "database", summary=f"open for {n} h", pid=str(n), cluster="local")
            for n in range(3)
        ),
        alert("LongTransaction", "warning", "database", summary="of another one", cluster="other"),
    )

    chat = setting.http.inboxes[TEAM_CHAT].wait(lambda message: "in local" in str(message))["body"]["attachments"][0]
    assert chat["title"] == "FIRING warning: LongTransaction in local, 3 times"
    assert chat["color"] == "warning"
    assert all(f"open for {n} h" in chat["text"] for n in range(3))
    assert "of another one" not in chat["text"]
    setting.http.inboxes[TEAM_CHAT].wait(lambda message: "in other" in str(message))
    assert len(setting.wait("/operations", "open for 1 h")["body"]["alerts"]) == 3
    assert len(setting.http.inboxes[TEAM_CHAT].messages) == 2
    assert not setting.http.inboxes[PAGER].messages
    assert not setting.http.inboxes[CHAT].messages
    assert not setting.smtp.inbox.messages


def test_the_watchdog_goes_to_the_dead_mans_switch_again_and_again_and_to_no_person(setting: Setting) -> None:
    setting.server.post(alert("Watchdog", "none", "platform", summary="alerts travel"))

    beats = setting.http.inboxes[HEARTBEAT]
    beats.wait(lambda _: len(beats.messages) >= 2)
    setting.wait("/operations", "Watchdog")
    for path in (CHAT, TEAM_CHAT, PAGER):
        assert not setting.http.inboxes[path].messages
    assert not setting.smtp.inbox.messages


def test_what_is_refused_is_sent_again_until_it_is_taken(setting: Setting) -> None:
    refusing = setting.http.inboxes["/operations"]
    refusing.refuse = 2
    setting.smtp.inbox.refuse = 1
    setting.server.post(alert("DatabaseDown", "critical", "database", summary="PostgreSQL is down"))

    assert setting.wait("/operations", "PostgreSQL is down")["body"]["status"] == "firing"
    assert len(refusing.refused) == 2
    read(setting.smtp.inbox.wait(lambda message: "PostgreSQL is down" in message["text"]))
    # What one receiver refuses holds no other one up, and nobody is told twice.
    assert len(setting.http.inboxes[TEAM_CHAT].messages) == 1
    assert len(setting.http.inboxes[PAGER].messages) == 1


def test_no_secret_is_in_the_configuration_the_arguments_the_api_or_the_log(setting: Setting) -> None:
    setting.server.post(alert("ApiDown", "critical", "api", summary="api-1 is down"))
    setting.http.inboxes[PAGER].wait(lambda _: True)
    setting.smtp.inbox.wait(lambda _: True)

    arguments = (
        Path(f"/proc/{setting.server.pid}/cmdline").read_text()
        + Path(f"/proc/{setting.server.pid}/environ").read_text()
    )
    status = setting.server.status()
    for secret in (*(value for value in SECRETS.values() if value), CHAT, TEAM_CHAT, HEARTBEAT):
        assert secret not in setting.configuration
        assert secret not in arguments
        assert secret not in status
        assert secret not in setting.server.log.read_text()


def read(message: dict[str, Any]) -> dict[str, Any]:
    """Return a mail's parts, decoded."""
    parsed = email.message_from_string(message["text"], policy=email.policy.default)
    assert isinstance(parsed, email.message.EmailMessage)
    body = parsed.get_body(("plain",))
    assert body is not None
    assert parsed.get_body(("html",)) is None
    return message | {"from": parsed["From"], "subject": parsed["Subject"], "body": body.get_content()}
