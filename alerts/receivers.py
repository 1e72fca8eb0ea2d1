"""Who is told: chat, pager, mail, a webhook, and the dead man's switch; with what each of them is told.

Secrets are only ever named, as files that Alertmanager reads when it sends: a configuration can be committed and shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from alerts.model import Team

Settings: TypeAlias = dict[str, Any]


class ReceiverError(Exception):
    """The receivers cannot do their work: one line that says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """An incoming webhook as Slack, Mattermost and Rocket.Chat have them; the file holds its URL, which is its secret.

    `channel` is only for webhooks that may choose one.
    """

    api_url_file: str
    channel: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pager:
    """PagerDuty's Events API v2, or what speaks it at another `url`; the file holds the integration's key."""

    routing_key_file: str
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail server as HOST:PORT; `username` and the file with its password where it wants a login.

    Without `require_tls` passwords and alerts travel in the clear: only for a relay on the same machine.
    """

    smarthost: str
    sender: str
    to: tuple[str, ...]
    username: str = ""
    auth_password_file: str = ""
    require_tls: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A page that takes Alertmanager's JSON: its URL or a file with it; a file with a bearer token if it wants one."""

    url: str = ""
    url_file: str = ""
    credentials_file: str = ""

    def __post_init__(self) -> None:
        if bool(self.url) == bool(self.url_file):
            raise ReceiverError("a webhook has either a url or a url_file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receivers:
    """What an environment has of them.

    `webhook` gets everything, so it stands in for what is missing. `pager` gets what is critical, and `mail` too, as a
    second way beside it. `chat` gets what is for people, `team_chats` what is for their team instead. `heartbeat` gets
    nothing but the Watchdog, each minute: a service elsewhere that raises the alarm when that stops.
    """

    webhook: Webhook | None = None
    pager: Pager | None = None
    chat: Chat | None = None
    team_chats: tuple[tuple[Team, Chat], ...] = ()
    mail: Mail | None = None
    heartbeat: Webhook | None = None

    def check(self) -> None:
        """Raise ReceiverError where alerts would reach nobody."""
        if self == Receivers():
            raise ReceiverError("no receiver of alerts is configured: give at least a webhook, which gets all of them")
        if not (self.webhook or self.chat or self.mail):
            raise ReceiverError("warnings would reach nobody: give a chat, a mail or a webhook")
        if not (self.webhook or self.heartbeat):
            raise ReceiverError(
                "nobody would notice that alerts no longer travel: give a heartbeat (a dead man's switch) or a webhook"
            )


# A command rather than a link: Debian's Alertmanager has no web page.
_SILENCE = (
    'simplicity alerts silence --for 2h --comment "WHY" alertname={{ .CommonLabels.alertname }}'
    "{{ with .CommonLabels.cluster }} cluster={{ . }}{{ end }}"
)
# What all alerts of a message have in common stands once; a group is of one alert and cluster, so its title is exact.
TITLE = (
    '{{ if eq .Status "firing" }}FIRING{{ else }}RESOLVED{{ end }} {{ .CommonLabels.severity }}: '
    "{{ .CommonLabels.alertname }}{{ with .CommonLabels.slo }} ({{ . }}){{ end }}"
    "{{ with .CommonLabels.cluster }} in {{ . }}{{ end }}"
    "{{ if gt (len .Alerts.Firing) 1 }}, {{ len .Alerts.Firing }} times{{ end }}"
)
_EACH = (
    "{{ range .Alerts.Firing }}\n"
    "- {{ .Annotations.summary }}\n"
    "  {{ .Annotations.description }}\n"
    '  since {{ .StartsAt.UTC.Format "2006-01-02 15:04:05 UTC" }}\n'
    "{{ end }}"
    "{{ range .Alerts.Resolved }}\n"
    "- resolved: {{ .Annotations.summary }}\n"
    '  at {{ .EndsAt.UTC.Format "2006-01-02 15:04:05 UTC" }}\n'
    "{{ end }}"
)
# Each kind of alert has one answer and one dashboard, so these are common; only a summary differs by instance.
_LINKS = (
    "\nWhat to do: {{ .CommonAnnotations.runbook_url }}\n"
    "Dashboard: {{ .CommonAnnotations.dashboard_url }}\n"
    f"For maintenance: {_SILENCE}\n"
)
TEXT = _EACH.removeprefix("\n") + _LINKS


def chat(to: Chat) -> Settings:
    """Return a receiver's entry of `slack_configs`."""
    return {
        "api_url_file": to.api_url_file,
        **({"channel": to.channel} if to.channel else {}),
        "send_resolved": True,
        "color": '{{ if eq .Status "resolved" }}good{{ else if eq .CommonLabels.severity "critical" }}danger'
        "{{ else }}warning{{ end }}",
        "title": TITLE,
        "title_link": "{{ .CommonAnnotations.runbook_url }}",
        "fallback": TITLE,
        "text": TEXT,
    }


def pager(to: Pager) -> Settings:
    """Return a receiver's entry of `pagerduty_configs`; what it has of an alert is told in its details."""
    return {
        "routing_key_file": to.routing_key_file,
        **({"url": to.url} if to.url else {}),
        "send_resolved": True,
        "description": TITLE + "{{ range $n, $one := .Alerts.Firing }}{{ if eq $n 0 }} - {{ $one.Annotations.summary }}"
        "{{ end }}{{ end }}",
        "severity": "{{ .CommonLabels.severity }}",
        "class": "{{ .CommonLabels.alertname }}",
        "component": "{{ .CommonLabels.team }}",
        "group": "{{ .CommonLabels.cluster }}",
        "client": "Simplicity",
        "client_url": "{{ .CommonAnnotations.dashboard_url }}",
        "links": [
            {"href": "{{ .CommonAnnotations.runbook_url }}", "text": "What to do"},
            {"href": "{{ .CommonAnnotations.dashboard_url }}", "text": "Dashboard"},
        ],
        "details": {
            "alerts": TEXT,
            "runbook": "{{ .CommonAnnotations.runbook_url }}",
            "dashboard": "{{ .CommonAnnotations.dashboard_url }}",
            "silence": _SILENCE,
        },
    }


def mail(to: Mail) -> Settings:
    """Return a receiver's entry of `email_configs`: plain text, which every program and every pager's gateway shows."""
    login = {"auth_username": to.username, "auth_password_file": to.auth_password_file} if to.username else {}
    return {
        "smarthost": to.smarthost,
        "from": to.sender,
        "to": ", ".join(to.to),
        **login,
        "require_tls": to.require_tls,
        "send_resolved": True,
        "headers": {"Subject": TITLE},
        "html": "",
        "text": TEXT,
    }


def webhook(to: Webhook) -> Settings:
    """Return a receiver's entry of `webhook_configs`; what is sent is Alertmanager's JSON, version 4."""
    authorization = {"authorization": {"credentials_file": to.credentials_file}} if to.credentials_file else {}
    return {
        **({"url": to.url} if to.url else {"url_file": to.url_file}),
        "send_resolved": True,
        # A redirect would take the token elsewhere, and an alert to a page that answers 200 to anything.
        "http_config": {**authorization, "follow_redirects": False},
        # Without a bound one receiver that hangs would hold up its next attempt for as long as it likes.
        "timeout": "10s",
    }
