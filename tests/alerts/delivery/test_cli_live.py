"""`simplicity alerts firing | silence | silences | unsilence | trial` as a person meets them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

from alerts import cli_live, live
from alerts.matcher import Matcher
from alerts.model import Severity
from tests.alerts.delivery.asking import post, wanted
from tests.alerts.delivery.servers import Server, free_port, prometheus, until

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result


def run(*words: str, environment: str = "") -> Result:
    app = typer.Typer()
    cli_live.register(app)
    return CliRunner().invoke(app, list(words), env={"SIMPLICITY_ENVIRONMENT": environment})


def test_what_is_hidden_by_its_cause_says_so(server: Server, url: str) -> None:
    post(server, "HighResponseTime", "critical", cluster="local")
    post(server, "SlowResponses", "warning", cluster="local")
    until(lambda: any(each.inhibited for each in live.firing(url)), within=10)

    cause, effect = live.firing(url)
    assert not cause.inhibited
    assert effect.inhibited_by == (cause.fingerprint,)
    assert "SlowResponses (hidden by its cause)" in run("firing", "--alertmanager", url).stdout


def test_prometheus_tells_what_fires_too(tmp_path: Path) -> None:
    rules = """groups: [{name: some, rules: [
        {alert: Fires, expr: vector(7), labels: {severity: critical}, annotations: {summary: "at {{ $value }}"}},
        {alert: Pending, expr: vector(1), for: 1h}]}]"""
    with prometheus(tmp_path, rules) as running:
        until(lambda: bool(live.evaluated(running.url)), within=20)
        (alert,) = live.evaluated(running.url)
        assert (alert.name, alert.severity, alert.summary) == ("Fires", Severity.CRITICAL, "at 7")
        assert datetime.now(UTC) - alert.since < timedelta(minutes=1)

        document = tmp_path / "environment.json"
        away = f"http://127.0.0.1:{free_port()}"
        document.write_text(json.dumps({"endpoints": {"alertmanager": away, "prometheus": running.url}}))
        done = run("firing", environment=str(document))
        assert done.exit_code == 1
        assert "critical  Fires" in done.stdout
        assert "nobody is told of this; Prometheus says" in done.stderr


def test_firing_lists_alerts_and_exits_by_whether_something_critical_is_among_them(server: Server, url: str) -> None:
    quiet = run("firing", "--alertmanager", url)
    assert (quiet.exit_code, quiet.stdout) == (0, "nothing fires\n")

    # What always fires is no news; it proves that others would arrive.
    post(server, "Watchdog", "none")
    until(lambda: bool(live.firing(url)), within=10)
    beating = run("firing", "--alertmanager", url)
    assert (beating.exit_code, beating.stdout) == (0, "nothing fires\n")
    assert json.loads(run("firing", "--alertmanager", url, "--json").stdout) == []

    post(server, "SlowResponses", "warning", minutes=125)
    until(lambda: len(live.firing(url)) == 2, within=10)
    warned = run("firing", "--alertmanager", url)
    assert warned.exit_code == 0
    assert "warning   SlowResponses, for 2 h 5 min: SlowResponses is so" in warned.stdout
    assert "do: https://docs.example.com/SlowResponses" in warned.stdout

    post(server, "DiskFull", "critical", instance="a\x1b[31mb", minutes=3_000)
    until(lambda: len(live.firing(url)) == 3, within=10)
    bad = run("firing", "--alertmanager", url, "--json")
    assert bad.exit_code == 1
    first, _ = json.loads(bad.stdout)
    assert (first["name"], first["severity"], first["silenced"], first["inhibited"]) == (
        "DiskFull",
        "critical",
        False,
        False,
    )
    assert "DiskFull, for 2 d 2 h" in run("firing", "--alertmanager", url).stdout

    # What a person has silenced is no news.
    live.silence(url, wanted(matchers=(Matcher("alertname", "=", "DiskFull"),)))
    until(lambda: any(each.silenced for each in live.firing(url)), within=10)
    calm = run("firing", "--alertmanager", url)
    assert calm.exit_code == 0
    assert "DiskFull (silenced)" in calm.stdout


def test_a_person_silences_lists_and_ends_silences(url: str) -> None:
    assert run("silences", "--alertmanager", url).stdout == "nothing is silenced\n"
    assert run("unsilence", "--all", "--alertmanager", url).stdout == "nothing was silenced\n"

    words = ("silence", "--for", "2h", "--comment", "new \x1b[31mdisk", "--by", "ops", "--alertmanager", url)
    done = run(*words, "instance=api-1", 'alertname=~"Disk.*"')
    assert done.exit_code == 0, done.output
    assert 'instance="api-1" alertname=~"Disk.*"  ops: new  [31mdisk' in done.stdout
    made = json.loads(run(*words, "--json", "DiskFull").stdout)
    assert made["matchers"] == ['alertname="DiskFull"']
    assert datetime.fromisoformat(made["ends"]) - datetime.fromisoformat(made["starts"]) == timedelta(hours=2)

    assert made["id"] in run("silences", "--alertmanager", url).stdout
    assert {each["by"] for each in json.loads(run("silences", "--json", "--alertmanager", url).stdout)} == {"ops"}
    ended = run("unsilence", made["id"], "--alertmanager", url)
    assert ended.exit_code == 0
    assert ended.stdout.startswith(f"ended: {made['id']}")
    rest = json.loads(run("unsilence", "--all", "--json", "--alertmanager", url).stdout)
    assert [each["matchers"][0] for each in rest] == ['instance="api-1"']
    assert live.silences(url) == ()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--for", "2h", "--comment", "", "ApiDown"), "who asked for it and why"),
        (("--for", "2 hours", "--comment", "x", "ApiDown"), "is no duration"),
        (("--for", "8d", "--comment", "x", "ApiDown"), "repeat it with --yes"),
        (("--for", "2h", "--comment", "x", "cluster=local"), "would silence everything"),
        (("--for", "2h", "--comment", "x", "Watchdog"), "would silence the Watchdog"),
        (("--for", "2h", "--comment", "x", "no matcher"), "is no matcher"),
        (("--for", "2h", "ApiDown"), "--comment"),
        (("--for", "2h", "--comment", "x"), "MATCHER"),
    ],
)
def test_a_silence_that_must_not_be_is_refused_with_what_to_do(url: str, words: tuple[str, ...], says: str) -> None:
    done = run("silence", "--alertmanager", url, *words)
    assert done.exit_code == 2
    assert says in done.stderr
    assert live.silences(url) == ()


def test_a_long_silence_is_made_with_yes_and_the_watchdog_that_fires_is_looked_at(server: Server, url: str) -> None:
    long = run("silence", "--for", "8d", "--comment", "until the new host", "--yes", "--alertmanager", url, "host=old")
    assert long.exit_code == 0, long.output
    post(server, "Watchdog", "none", host="monitor")
    until(lambda: bool(live.firing(url)), within=10)
    done = run("silence", "--for", "1h", "--comment", "new disk", "--alertmanager", url, "host=monitor")
    assert (done.exit_code, "would silence the Watchdog" in done.stderr) == (2, True)


def test_commands_say_in_one_line_where_they_cannot_ask(tmp_path: Path) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    for words, code in (
        (("firing",), 2),
        (("silences",), 1),
        (("unsilence", "--all"), 1),
        (("silence", "--for", "1h", "--comment", "x", "ApiDown"), 1),
        (("trial",), 1),
    ):
        done = run(*words, "--alertmanager", away)
        assert (done.exit_code, len(done.stderr.splitlines())) == (code, 1), done.output
        assert "does not answer" in done.stderr
        done = run(*words, environment=str(tmp_path / "none.json"))
        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1), done.output
        assert "no environment here" in done.stderr


def test_unsilence_wants_either_an_id_or_all() -> None:
    for words in (("unsilence",), ("unsilence", "some-id", "--all")):
        done = run(*words, "--alertmanager", "http://127.0.0.1:1")
        assert (done.exit_code, "either the ID of a silence or --all" in done.stderr) == (2, True)


def test_a_trial_is_sent_by_command(url: str) -> None:
    done = run("trial", "--severity", "critical", "--team", "security", "--by", "ops", "--alertmanager", url)
    assert done.exit_code == 0
    assert "sent TrialAlert, critical, for security" in done.stdout
    until(lambda: [each.name for each in live.firing(url)] == ["TrialAlert"], within=10)


def test_without_a_name_a_silence_is_by_the_user_who_asks(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "someone")
    run("silence", "--for", "1h", "--comment", "x", "--alertmanager", url, "ApiDown")
    assert [each.by for each in live.silences(url)] == ["someone"]


def test_a_user_that_the_system_does_not_know_is_told_as_such(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)
    run("silence", "--for", "1h", "--comment", "x", "--alertmanager", url, "ApiDown")
    assert [each.by for each in live.silences(url)] == ["unknown"]
