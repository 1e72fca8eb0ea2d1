"""`simplicity infrastructure rehearse | drift`, as people use it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from infra.cloud.rehearsal.emulator import clients
from infra.cloud.rehearsal.keeping import Kept
from runbooks.infrastructure.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer.testing import Result

STACK = "rehearsal"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("SIMPLICITY_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # without an engine
    yield tmp_path
    Kept(tmp_path / "rehearsals" / STACK).stop()


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_a_whole_rehearsal_holds_says_who_drove_it_and_what_it_cannot_show(home: Path) -> None:
    picture = home / "graph.svg"
    done = call("rehearse", STACK, "--json", "--picture", str(picture))
    assert done.exit_code == 0, done.output
    (report,) = json.loads(done.stdout)["stacks"]
    figures = {line["what"]: line["figure"] for line in report["lines"]}
    assert report["driver"] == "our small driver (no `pulumi` command here)"
    assert int(figures["resources created"]) == sum(report["created"].values()) > 150
    assert (figures["changes of a second plan"], figures["left after destroy"]) == ("0", "0")
    assert figures["drifts injected"] == figures["drifts named"] != "0"
    for limit in ("lets everybody do everything", "not asked back: aws:kms/key:Key", "not drifted: aws:"):
        assert any(limit in each for each in report["limits"]), limit
    assert picture.read_text().startswith("<svg")
    assert f"{STACK}: destroy" in done.stderr


def test_what_somebody_changed_in_a_kept_rehearsal_is_named_until_it_is_stopped(home: Path) -> None:
    assert call("rehearse", STACK, "--keep").exit_code == 0
    nothing = call("drift", STACK)
    assert (nothing.exit_code, nothing.stdout) == (0, f"{STACK}: nothing has drifted\n")
    kept = Kept(home / "rehearsals" / STACK)
    endpoint = kept.endpoint()
    assert endpoint is not None
    state: list[dict[str, Any]] = json.loads(kept.state.read_text())["resources"]
    cloud = clients(endpoint, "us-east-1")
    group = next(each["id"] for each in state if each["type"].endswith(":SecurityGroup") and each["name"] == "api")
    everyone = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    cloud("ec2").authorize_security_group_ingress(GroupId=group, IpPermissions=[everyone])
    alarm = next(each["id"] for each in state if each["type"].endswith(":MetricAlarm"))
    cloud("cloudwatch").delete_alarms(AlarmNames=[alarm])
    drifted = call("drift", STACK, "--json")
    assert drifted.exit_code == 1
    lines = [each["line"] for each in json.loads(drifted.stdout)["drifts"]]
    assert len(lines) == 2
    assert any(line.startswith("aws:ec2/securityGroup:SecurityGroup api: ingress was ") for line in lines)
    assert any(line.startswith("aws:cloudwatch/metricAlarm:MetricAlarm") and line.endswith("is gone") for line in lines)
    assert call("rehearse", STACK, "--stop").stdout == f"{STACK}: ended\n"
    gone = call("drift", STACK)
    assert (gone.exit_code, "--keep` first" in gone.stderr) == (2, True)


def test_mistakes_are_one_line_each(home: Path) -> None:
    assert home.is_dir()
    unknown = call("rehearse", "produktion")
    assert unknown.exit_code == 2
    assert unknown.stderr.startswith("simplicity: produktion: no such stack, did you mean production")
    nameless = call("rehearse", "--keep")
    assert (nameless.exit_code, nameless.stderr.count("\n")) == (2, 1)


def test_served_by_hand_it_says_how_pulumi_finds_it_and_ends_at_ctrl_c(home: Path) -> None:
    assert home.is_dir()
    command = [sys.executable, "-c", "from runbooks.cli import main; main()", "infrastructure", "rehearse", "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        state = Path(lines[2].strip().removeprefix("export PULUMI_BACKEND_URL=file://"))
        assert state.is_dir()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert lines[0].startswith("export PULUMI_DEBUG_PROVIDERS=aws:")
    assert lines[1].startswith("export AWS_ENDPOINT_URL=http://127.0.0.1:")
    assert lines[3] == "export PULUMI_CONFIG_PASSPHRASE=rehearsal\n"
    assert not state.exists()
