"""The workflows hold no logic: every step is a make target that also runs at home; nothing in them can be moved."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.scripts import ROOT

FOLDER = ROOT / ".github/workflows"
TOOLS = (str(Path(sys.executable).parent), str(ROOT / ".venv/tools"))
# A bare Debian has neither make nor git: the one step that can be no target of a Makefile that is not there yet.
BARE = (
    "apt-get -qq update && apt-get -qq install --no-install-recommends "
    "ca-certificates git gnupg make python3-venv"
)  # fmt: skip
WRITES = {"id-token", "contents"}


def workflows() -> dict[str, dict[str, Any]]:
    """Every workflow by its file's name."""
    # YAML's older version reads the key `on` as a boolean.
    texts = {path.stem: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.yml"))}
    return {name: yaml.safe_load(re.sub(r"^on:", '"on":', text, flags=re.MULTILINE)) for name, text in texts.items()}


WORKFLOWS = workflows()
JOBS = {f"{name}/{key}": job for name, workflow in WORKFLOWS.items() for key, job in workflow["jobs"].items()}
STEPS = [(where, step) for where, job in JOBS.items() for step in job.get("steps", ())]
RUNS = [pytest.param(step["run"], id=f"{where}: {step['name']}") for where, step in STEPS if "run" in step]
USES = sorted({step["uses"] for _, step in STEPS if "uses" in step})


def targets() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def test_the_workflows_are_these() -> None:
    assert list(WORKFLOWS) == ["checks", "environment", "nightly", "release", "stage"]


@pytest.mark.parametrize("run", RUNS)
def test_every_step_is_one_make_target_that_is_there(run: str) -> None:
    if run == BARE:
        return
    found = re.fullmatch(r"make ([a-z][a-z-]*)(?: ARGS=(?:[^\s'$`;&|]+|'[^'$`;&|]*'))?", run)
    assert found, (
        "only `make TARGET`, or `make TARGET ARGS=…`: logic belongs into the target, where it runs at home too"
    )
    assert found[1] in targets()


def test_the_checks_are_all_that_is_gated_at_home() -> None:
    gated = set(re.findall(r"^step make ([a-z-]+)", (ROOT / ".ci/run").read_text("utf-8"), re.MULTILINE))
    runs = [step["run"] for where, step in STEPS if where.startswith("checks/") and "run" in step]
    here = {run.split()[1] for run in runs if run != BARE}
    # Measured there too: `make coverage` is `make test` with its coverage.
    assert gated - {"test"} <= here
    assert "coverage" in here


@pytest.mark.parametrize("uses", USES)
def test_every_action_is_pinned_by_a_commit_and_says_its_version(uses: str) -> None:
    assert re.fullmatch(r"(?:actions|pulumi|aws-actions)/[a-z-]+@[0-9a-f]{40}", uses), "whose, and which commit?"
    lines = {line.strip() for path in FOLDER.glob("*.yml") for line in path.read_text("utf-8").splitlines()}
    found = {line for line in lines if uses in line}
    assert len(found) == 1, "one commit of an action is one version"
    assert re.fullmatch(rf"- uses: {re.escape(uses)} # v\d+\.\d+\.\d+", found.pop())


def test_one_action_has_one_version_everywhere() -> None:
    assert len({uses.partition("@")[0] for uses in USES}) == len(USES)


@pytest.mark.parametrize("image", sorted({job["container"]["image"] for job in JOBS.values() if "container" in job}))
def test_every_image_is_pinned_by_its_digest(image: str) -> None:
    assert re.fullmatch(r"debian:bookworm-slim@sha256:[0-9a-f]{64}", image)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_permits_nothing_and_runs_once_at_a_time(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}
    assert set(WORKFLOWS[name]["concurrency"]) == {"group", "cancel-in-progress"}


@pytest.mark.parametrize("where", JOBS)
def test_a_job_says_what_it_may_do_and_for_how_long(where: str) -> None:
    job = JOBS[where]
    assert job["permissions"]["contents"] in {"read", "write"}
    assert {scope for scope, level in job["permissions"].items() if level == "write"} <= WRITES
    if "uses" in job:  # time is limited in what it calls
        assert re.fullmatch(r"\./\.github/workflows/[a-z]+\.yml", job["uses"])
        assert Path(job["uses"]).stem in WORKFLOWS
    else:
        assert 0 < job["timeout-minutes"] <= 240


def test_only_what_publishes_may_write() -> None:
    writing = [where for where, job in JOBS.items() if job["permissions"]["contents"] == "write"]
    assert writing == ["release/publish"]


def test_nothing_starts_by_what_a_stranger_sends() -> None:
    events = {event for workflow in WORKFLOWS.values() for event in workflow["on"]}
    assert events == {"pull_request", "push", "schedule", "workflow_call", "workflow_dispatch"}
    reached = [name for name, workflow in WORKFLOWS.items() if "pull_request" in workflow["on"]]
    assert reached == ["checks"]
    jobs = WORKFLOWS["checks"]["jobs"].values()
    assert all(job["runs-on"] == "ubuntu-24.04" and job["permissions"] == {"contents": "read"} for job in jobs)
    assert not any("environment" in job for job in jobs)
    assert "secrets." not in (FOLDER / "checks.yml").read_text("utf-8")


def test_a_checkout_leaves_no_token_behind() -> None:
    checkouts = [step for _, step in STEPS if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_aws_is_reached_by_a_role_of_the_environment_and_by_no_key() -> None:
    logins = [(where, step) for where, step in STEPS if step.get("uses", "").startswith("aws-actions/")]
    assert sorted(where for where, _ in logins) == ["nightly/drift", "stage/plan", "stage/up"]
    for where, step in logins:
        assert step["with"] == {"role-to-assume": "${{ vars.AWS_ROLE }}", "aws-region": "${{ vars.AWS_REGION }}"}
        assert JOBS[where]["environment"]
        assert JOBS[where]["permissions"]["id-token"] == "write"
    secrets = {name for path in FOLDER.glob("*.yml") for name in re.findall(r"secrets\.(\w+)", path.read_text("utf-8"))}
    assert secrets == {"RELEASE_SIGNING_KEY"}


def test_a_plan_has_a_role_of_its_own_that_changes_nothing() -> None:
    stage = WORKFLOWS["stage"]["jobs"]
    assert stage["plan"]["environment"] == "${{ inputs.stack }}-plan"
    assert JOBS["nightly/drift"]["environment"] == "${{ matrix.stack }}-plan"
    assert {stage[name]["environment"] for name in ("up", "deploy")} == {"${{ inputs.stack }}"}


def test_production_comes_after_staging_and_gets_what_staging_ran() -> None:
    jobs = WORKFLOWS["environment"]["jobs"]
    assert jobs["production"]["needs"] == "staging"
    assert jobs["production"]["with"]["from"] == "staging"
    assert jobs["production"]["with"]["release"] == jobs["staging"]["with"]["release"]
    stage = WORKFLOWS["stage"]["jobs"]
    assert (stage["up"]["needs"], stage["deploy"]["needs"]) == ("plan", "up")


def test_what_is_released_was_checked_and_is_built_once() -> None:
    jobs = WORKFLOWS["release"]["jobs"]
    assert jobs["checks"]["uses"].endswith("/checks.yml")
    assert jobs["build"]["needs"] == "checks"
    assert jobs["publish"]["needs"] == jobs["environment"]["needs"] == "build"
    builds = [where for where, step in STEPS if step.get("run", "").startswith("make release")]
    assert builds == ["release/build"]


def _lint(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((*TOOLS, os.environ["PATH"]))
    found = shutil.which(program, path=path)
    if found is None and program == "actionlint":
        pytest.skip("actionlint was left out: it is not here; `make tools` builds it where Go is")
    assert found, f"{program} is not here"
    command = [found, *words]
    environment = {**os.environ, "PATH": path}
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd=ROOT, env=environment)


def test_actionlint_finds_nothing() -> None:
    done = _lint("actionlint", "-no-color")
    assert done.returncode == 0, done.stdout


def test_zizmor_finds_nothing_even_when_it_is_pedantic() -> None:
    done = _lint("zizmor", "--offline", "--no-progress", "--quiet", "--persona", "pedantic", ".github")
    assert done.returncode == 0, done.stdout
