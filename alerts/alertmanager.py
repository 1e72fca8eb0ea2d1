"""Alertmanager's configuration: which alert goes to whom, together with which others, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import yaml

from alerts import receivers as told
from alerts.inhibitions import INHIBITIONS, matchers
from alerts.matcher import WATCHDOG
from alerts.model import REAL, Severity, Team, duration, seconds
from alerts.receivers import Chat, Mail, Pager, ReceiverError, Receivers, Webhook

if TYPE_CHECKING:
    from collections.abc import Callable

    from alerts.inhibitions import Inhibition
    from alerts.model import Scale
    from alerts.receivers import Settings

__all__ = [
    "Chat",
    "Mail",
    "Pager",
    "ReceiverError",
    "Receivers",
    "Webhook",
    "committed",
    "configuration",
]

T = TypeVar("T")
GROUP_BY = ("alertname", "cluster", "slo")
# Receivers, by what they are for.
PAGE, PEOPLE, HEARTBEAT = "page", "people", "heartbeat"
SECRETS = "/etc/alertmanager/secrets"
HEADER = """\
# Written by .ci/check_alerts.py from alerts/alertmanager.py: change it there.
# Addresses are an environment's own and put in where it is deployed; a file of secrets holds nothing but the secret.
"""


# Wider than any line, so that none is folded: one setting, one line, one line of a diff.
WIDTH = 10_000
FLEET = Receivers(
    webhook=Webhook(url_file=f"{SECRETS}/operations-url", credentials_file=f"{SECRETS}/operations-token"),
    pager=Pager(routing_key_file=f"{SECRETS}/pager-routing-key"),
    chat=Chat(api_url_file=f"{SECRETS}/chat-url"),
    team_chats=tuple((team, Chat(api_url_file=f"{SECRETS}/chat-url-{team}")) for team in get_args(Team)),
    mail=Mail(
        smarthost="mail.example.com:587",
        sender="alerts@example.com",
        to=("on-call@example.com",),
        username="alerts",
        auth_password_file=f"{SECRETS}/mail-password",
    ),
    heartbeat=Webhook(url_file=f"{SECRETS}/heartbeat-url"),
)


class _Plain(yaml.SafeDumper):
    """Writes what stands twice twice: a reader of a receiver sees all of it there, not an anchor's name."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a new group waits for others of its kind, how long for news of it, and until it is told again.

    Durations as Alertmanager has them; the floors are seconds: at a scale of hundreds there is a moment left to group
    in, and what goes on is not told again before its end can be.
    """

    wait: str
    interval: str
    repeat: str
    repeat_floor: float = 60.0

    def settings(self, scale: Scale) -> dict[str, str]:
        """Return a route's three settings."""
        return {
            "group_wait": _scaled(self.wait, scale, 1.0),
            "group_interval": _scaled(self.interval, scale, 2.0),
            "repeat_interval": _scaled(self.repeat, scale, self.repeat_floor),
        }


# A page waits only for those of its kind that the same evaluation raises.
CRITICAL = Pace("10s", "1m", "1h")
WARNING = Pace("1m", "5m", "12h")
# Alertmanager looks each interval whether it is time to repeat: half of it, so that the switch hears it each minute.
BEAT = Pace("1s", "30s", "1m", repeat_floor=5.0)


def _scaled(text: str, scale: Scale, floor: float) -> str:
    value = seconds(text)
    return duration(value if scale.factor == 1 else max(min(floor, value), round(value / scale.factor)))


def configuration(receivers: Receivers, *, scale: Scale = REAL) -> str:
    """Return Alertmanager's configuration as YAML, the same for the same receivers. Raises ReceiverError."""
    receivers.check()
    whole = {
        "global": {"resolve_timeout": "5m"},
        "route": _routes(receivers, scale),
        "receivers": _receivers(receivers),
        "inhibit_rules": [_inhibition(each) for each in INHIBITIONS],
    }
    return yaml.dump(whole, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=WIDTH)


def committed() -> dict[Path, str]:
    """Return the configuration of a fleet, by where it lies in the repository: every receiver, and no secret."""
    return {Path("alerts/alertmanager.yaml"): HEADER + configuration(FLEET)}


def _routes(receivers: Receivers, scale: Scale) -> dict[str, Any]:
    """Return the tree of routes. What has no severity that is known goes to people, as a warning does."""
    critical = f'severity="{Severity.CRITICAL}"'
    page = [{"receiver": PAGE, "matchers": [critical], **CRITICAL.settings(scale), "continue": True}]
    return {
        "receiver": PEOPLE,
        "group_by": list(GROUP_BY),
        **WARNING.settings(scale),
        "routes": [
            {"receiver": HEARTBEAT, "matchers": [f'alertname="{WATCHDOG}"'], **BEAT.settings(scale)},
            *(page if _pages(receivers) else ()),
            {
                "receiver": PEOPLE,
                "matchers": [critical],
                **CRITICAL.settings(scale),
                **_teams(receivers),
            },
            {"receiver": PEOPLE, "matchers": [f'severity="{Severity.WARNING}"'], **_teams(receivers)},
        ],
    }


def _teams(receivers: Receivers) -> dict[str, Any]:
    """Return the routes to those teams that have a chat of their own."""
    routes = [{"receiver": f"{PEOPLE}-{team}", "matchers": [f'team="{team}"']} for team, _ in receivers.team_chats]
    return {"routes": routes} if routes else {}


def _receivers(receivers: Receivers) -> list[dict[str, Any]]:
    """Return the receivers that the routes name; each alert comes to the webhook once, with those for people."""
    everything = [told.webhook(receivers.webhook)] if receivers.webhook else []
    alone = [told.mail(receivers.mail)] if receivers.mail and _mail_is_all(receivers) else []
    return [
        _receiver(HEARTBEAT, webhook_configs=[*_each(told.webhook, receivers.heartbeat), *everything]),
        *_pages(receivers),
        _receiver(
            PEOPLE,
            slack_configs=_each(told.chat, receivers.chat),
            email_configs=alone,
            webhook_configs=everything,
        ),
        *(
            _receiver(
                f"{PEOPLE}-{team}", slack_configs=[told.chat(chat)], email_configs=alone, webhook_configs=everything
            )
            for team, chat in receivers.team_chats
        ),
    ]


def _pages(receivers: Receivers) -> list[dict[str, Any]]:
    """Return the receiver that wakes people; none where all that there is is for people anyhow."""
    beside = receivers.mail if receivers.mail and not _mail_is_all(receivers) else None
    if receivers.pager is None and beside is None:
        return []
    return [
        _receiver(PAGE, pagerduty_configs=_each(told.pager, receivers.pager), email_configs=_each(told.mail, beside))
    ]


def _mail_is_all(receivers: Receivers) -> bool:
    return not (receivers.chat or receivers.webhook)


def _each(make: Callable[[T], Settings], one: T | None) -> list[Settings]:
    return [] if one is None else [make(one)]


def _receiver(name: str, **kinds: list[Settings]) -> dict[str, Any]:
    return {"name": name, **{kind: entries for kind, entries in kinds.items() if entries}}


def _inhibition(rule: Inhibition) -> dict[str, list[str]]:
    return {
        "source_matchers": matchers(rule.causes, rule.cause),
        "target_matchers": matchers(rule.effects, rule.effect),
        "equal": list(rule.equal),
    }
