"""Receivers as settings name them, and the command that renders them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from typer.testing import CliRunner

from alerts.alertmanager import configuration
from alerts.cli import app
from alerts.model import Scale
from alerts.receivers import Chat, Mail, ReceiverError, Receivers, Webhook
from alerts.receivers_read import receivers_of

if TYPE_CHECKING:
    from pathlib import Path

PAGE = {"url": "https://operations.example.com/alerts", "credentials_file": "/secrets/token"}
MAIL = {"smarthost": "mail.example.com:587", "sender": "a@example.com", "to": ["b@example.com"]}


def test_settings_become_the_receivers_that_they_name() -> None:
    given = {"webhook": PAGE, "mail": MAIL, "team_chats": {"database": {"api_url_file": "/secrets/chat"}}}
    assert receivers_of(given) == Receivers(
        webhook=Webhook(url=PAGE["url"], credentials_file="/secrets/token"),
        mail=Mail(smarthost="mail.example.com:587", sender="a@example.com", to=("b@example.com",)),
        team_chats=(("database", Chat(api_url_file="/secrets/chat")),),
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "no receiver of alerts is configured"),
        ([], "the receivers: settings by their names are needed"),
        ({"pigeon": {}}, "there is no receiver 'pigeon': chat, heartbeat, mail, pager, team_chats, webhook"),
        ({"webhook": "https://example.com"}, "webhook: settings by their names are needed"),
        ({"webhook": PAGE | {"token": "x"}}, "webhook: there is no setting 'token'"),
        ({"webhook": {"url": 5}}, "webhook: its url cannot be 5"),
        ({"mail": {"smarthost": "mail.example.com:25", "to": []}}, "mail: give its sender"),
        ({"mail": MAIL | {"to": "b@example.com"}}, "mail: its to cannot be 'b@example.com'"),
        ({"webhook": PAGE, "team_chats": {"sales": {}}}, "team_chats: there is no team 'sales': api, database"),
        ({"webhook": PAGE, "team_chats": {"api": {}}}, "team_chats.api: give its api_url_file"),
        ({"pager": {"routing_key_file": "/secrets/key"}}, "warnings would reach nobody"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(given: object, says: str) -> None:
    with pytest.raises(ReceiverError) as raised:
        receivers_of(given)
    assert says in str(raised.value)


def test_the_command_prints_what_alertmanager_reads(tmp_path: Path) -> None:
    file = tmp_path / "receivers.yaml"
    file.write_text(yaml.safe_dump({"webhook": PAGE}), encoding="utf-8")
    wanted = configuration(Receivers(webhook=Webhook(**PAGE)), scale=Scale(factor=10))
    assert CliRunner().invoke(app, ["receivers", str(file), "--scale", "10"]).stdout == wanted
    piped = CliRunner().invoke(app, ["receivers", "-", "--scale", "10"], input=json.dumps({"webhook": PAGE}))
    assert piped.stdout == wanted


@pytest.mark.parametrize(
    ("text", "says"), [("{}", "alerts: no receiver of alerts"), ("{", "alerts: the receivers are no YAML (")]
)
def test_the_command_says_in_one_line_what_is_wrong(text: str, says: str) -> None:
    done = CliRunner().invoke(app, ["receivers", "-"], input=text)
    assert done.exit_code == 1
    assert done.stderr.startswith(says)
    assert done.stderr.count("\n") == 1
