"""Bring a release to the idle colour, move the traffic to it step by step, and take it all back where it is no good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbooks.deploy import acting, looking, releasing
from runbooks.engine.arguments import integer, matching, one_of
from runbooks.engine.model import Look, Parameter, Runbook, Step

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET = "deployment"


def _step(name: str, title: str, asserts: str, act: Callable[..., Any], check: Callable[..., str], **rest: Any) -> Step:  # noqa: ANN401
    return Step(name=name, title=title, asserts=asserts, act=act, check=check, **{"within": 300.0, **rest})


RELEASE = Parameter(
    name="release",
    help="Which; `simplicity deploy build` makes one and says its id.",
    parse=matching(r"[0-9A-Za-z][0-9A-Za-z.+_]{0,39}-[0-9a-f]{12}", "the id of a release, like 0.2.0-0123456789ab"),
    example="0.2.0-0123456789ab",
)
RUNBOOK = Runbook(
    name="deploy-release",
    title="Deploy a release, blue/green",
    meaning="A release is to take the place of the one that is live, and no client is to notice but by its answers.",
    impact="None for clients while it goes well. A release that is no good has a part of the traffic for as long as it "
    "takes to see that: seconds, at 5 %.",
    diagnosis=(
        Look(title="What is live", see=looking.see_live, by_hand="`simplicity deploy status`"),
        Look(title="The release", see=looking.see_release, by_hand="`simplicity deploy releases`"),
    ),
    steps=(
        _step(
            "gates",
            "Ask every gate: freeze, checks, staging, migrations, backup, configuration",
            "all are passed",
            releasing.pass_gates,
            releasing.gates_passed,
            within=600.0,
            reads_only=True,
            by_hand="`simplicity deploy release ID --dry-run`",
        ),
        _step(
            "verify-artifact",
            "Compare every file with what was signed",
            "no byte was changed",
            releasing.verify_artifact,
            releasing.is_verified,
            reads_only=True,
            within=120.0,
            by_hand="`sha256sum` of every file, as manifest.json has it",
        ),
        _step(
            "preflight",
            "Look at hosts, disks, colours and Prometheus",
            "one colour is live, the other is free",
            releasing.preflight,
            releasing.is_known,
            reads_only=True,
            within=60.0,
            by_hand="`simplicity deploy status`",
        ),
        _step(
            "install",
            "Bring the release to all hosts",
            "it is whole there",
            releasing.install,
            releasing.is_installed,
            by_hand="`ansible-playbook release.yaml -e step=install -e release=ID -e artifacts=DIRECTORY`",
        ),
        _step(
            "migrate",
            "Expand the schema, once",
            "both releases can work on it",
            releasing.migrate,
            releasing.is_migrated,
            by_hand="`ansible-playbook release.yaml -e step=migrate -e release=ID`",
            within=900.0,
        ),
        _step(
            "start",
            "Start it as the idle colour",
            "each process is ready, and says that it is this release",
            releasing.start,
            releasing.runs,
            by_hand="`ansible-playbook release.yaml -e step=start -e release=ID -e colour=COLOUR`",
            undo=releasing.stop_new,
            undo_title="Stop the new colour; it names its last release again",
        ),
        _step(
            "smoke",
            "Ask each process directly",
            "each gives the known answer, and is counted",
            releasing.smoke_test,
            releasing.is_seen,
            reads_only=True,
            within=90.0,
            by_hand="`curl https://HOST:PORT/v1/indexer/brc20/status` on each host",
        ),
        *(releasing.stage(percent) for percent in releasing.STAGES),
        _step(
            "watch",
            "Watch the objectives of the new colour",
            "it kept them for long enough, over enough requests",
            releasing.watch,
            releasing.was_good,
            within=releasing.WATCH_LIMIT,
            undo=acting.give_back,
            by_hand="the dashboard `api`, by colour",
            undo_title="Give all traffic back to the old colour",
        ),
        _step(
            "sync",
            "Move sync to the release, the standby first",
            "sync runs it on all hosts",
            releasing.move_sync,
            releasing.syncs,
            undo=releasing.sync_back,
            undo_title="Give all traffic back, then let sync run the old release",
            by_hand="`ansible-playbook release.yaml -e step=sync -e release=ID`",
        ),
        _step(
            "retire",
            "Stop the old colour once nobody asks it",
            "it is stopped, and still installed",
            releasing.retire,
            releasing.is_retired,
            undo=releasing.bring_back,
            undo_title="Start the old colour and give it all traffic back",
            by_hand="`systemctl disable --now simplicity-api@COLOUR` on each host",
        ),
        _step(
            "state",
            "Sign that this environment has run it",
            "the next environment can be promoted to",
            releasing.state_that_it_ran,
            releasing.was_stated,
            by_hand="only this command signs it; without it the gate `staging` of the next environment stays closed",
            within=20.0,
        ),
    ),
    verify=(
        Look(
            title="Clients reach the release",
            see=releasing.answers,
            by_hand="`curl -I https://API/health/ready`: X-Release",
        ),
    ),
    undo="A step that fails takes everything back by itself, traffic first. Later `simplicity deploy rollback` returns "
    "to the release before: it is installed still. Expand migrations stay: both releases work on them.",
    parameters=(
        RELEASE,
        Parameter(
            name="watch-seconds",
            help="How long it is watched with all traffic.",
            parse=integer(1, 500),
            example="60",
            default="60",
        ),
        Parameter(
            name="watch-requests",
            help="How many requests it has to have answered.",
            parse=integer(0, 10_000_000),
            example="5000",
            default="5000",
        ),
        Parameter(
            name="stage-seconds",
            help="How long each smaller share is watched.",
            parse=integer(0, 60),
            example="6",
            default="6",
        ),
        Parameter(
            name="reviewed",
            help="Whether a difference of the configuration was reviewed.",
            parse=one_of("yes", "no"),
            example="yes",
            default="no",
        ),
        Parameter(
            name="after",
            help="Which environment has to have run it; the document says it too.",
            parse=matching(r"[A-Za-z0-9._-]{0,63}", "the name of an environment"),
            example="staging",
            default="",
        ),
        Parameter(
            name="waive",
            help="Gates to pass over: of checks, backup, configuration, freeze.",
            parse=matching(r"((checks|backup|configuration|freeze)(,|$))*", "gates, separated by commas"),
            example="backup",
            default="",
        ),
        Parameter(
            name="reason",
            help="Why gates are passed over.",
            parse=matching(r"[ -~]{0,200}", "one line"),
            example="inc-42",
            default="",
        ),
    ),
    target=lambda _: TARGET,
    on_failure="undo",
)
