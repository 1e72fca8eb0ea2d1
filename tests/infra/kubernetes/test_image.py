"""Facts about the Containerfile. It is not built here: that takes a container engine, and a base image."""

from __future__ import annotations

import json
from collections import defaultdict

from runbooks.deploy import building, manifest
from tests.infra.kubernetes.chart import FOLDER, MINIMAL, render


def instructions() -> dict[str, list[str]]:
    lines = (FOLDER / "Containerfile").read_text("utf-8").splitlines()
    found = defaultdict(list)
    for line in lines:
        if line and not line.startswith("#"):
            name, _, rest = line.partition(" ")
            found[name].append(rest)
    return found


def test_what_it_stands_on_is_pinned_by_whoever_builds() -> None:
    found = instructions()
    assert found["ARG"] == ["BASE"]  # without a default
    assert found["FROM"] == ["${BASE} AS build", "${BASE}"]


def test_nothing_is_fetched_and_every_package_has_its_hash() -> None:
    found = instructions()
    (install,) = [json.loads(line) for line in found["RUN"] if '"install"' in line]
    assert {"--no-index", "--require-hashes"} <= set(install)
    assert "ADD" not in found
    assert not any("://" in word for lines in found.values() for word in lines)


def test_its_context_is_a_release_and_nothing_else() -> None:
    copied = [line.split()[0] for line in instructions()["COPY"] if not line.startswith("--from=build")]
    assert copied == [manifest.REQUIREMENTS, manifest.WHEELS]
    assert building.LOCK == "requirements/indexer.txt"  # whose hashes a release carries


def test_it_runs_as_the_user_of_the_pods_without_a_shell() -> None:
    found = instructions()
    pod = render(MINIMAL).pods["api"]["spec"]["securityContext"]
    assert found["USER"] == [f"{pod['runAsUser']}:{pod['runAsGroup']}"]
    for line in (*found["RUN"], *found["ENTRYPOINT"], *found["CMD"]):
        assert not {"sh", "bash", "-c"} & set(json.loads(line))
    assert [json.loads(line) for line in found["ENTRYPOINT"]] == [["/opt/simplicity/bin/simplicity"]]


def test_the_last_stage_takes_only_what_was_installed() -> None:
    lines = (FOLDER / "Containerfile").read_text("utf-8").split("FROM ${BASE}\n")[1].splitlines()
    assert [line for line in lines if line.startswith(("COPY", "RUN"))] == [
        "COPY --from=build /opt/simplicity /opt/simplicity"
    ]
