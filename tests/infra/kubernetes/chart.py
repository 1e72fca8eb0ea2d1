"""The chart as real helm renders it, and as kubeconform judges it against the schemas of the API."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "infra/kubernetes"
CHART = FOLDER / "chart"
MINIMAL, PRODUCTION = "minimal", "production"
# The oldest that the chart takes, and the newest that the schemas know.
OLDEST, NEWEST = "1.30.0", "1.37.0"
SECONDS = 60
HOW = "was left out: {name} is not here; .ci/install_chart_tools.sh installs it where Go is, or put it on PATH"

Object = dict[str, Any]


def tool(name: str) -> str:
    """Return the path of a program; a test that needs one that is not here is skipped, and says so."""
    found = shutil.which(name, path=str(ROOT / ".venv/tools")) or shutil.which(name)
    return found or pytest.skip(HOW.format(name=name))


@dataclass(frozen=True, slots=True)
class Render:
    """What helm made of values: the text and its objects, or, where it refused, what it said."""

    text: str
    error: str
    objects: tuple[Object, ...] = field(default=(), repr=False)

    def of(self, kind: str) -> dict[str, Object]:
        """Return the objects of a kind by what follows the release's name in theirs."""
        found = [each for each in self.objects if each["kind"] == kind]
        return {each["metadata"]["name"].removeprefix("demo-simplicity-"): each for each in found}

    @property
    def pods(self) -> dict[str, Object]:
        """Return the templates of all pods by component."""
        found = self.of("Deployment") | self.of("Job")
        return {name: each["spec"]["template"] for name, each in found.items()}


@cache
def render(example: str, *settings: str, version: str = "1.34.0", namespace: str = "default") -> Render:
    """Render an example's values, with more of them as `--set-json` takes them; "" is the chart's own values."""
    values = ["--values", str(FOLDER / f"examples/{example}.yaml")] if example else []
    more = [word for setting in settings for word in ("--set-json", setting)]
    where = ["--kube-version", version, "--namespace", namespace]
    done = _run(tool("helm"), "template", "demo", str(CHART), *where, *values, *more)
    if done.returncode:
        return Render("", done.stderr)
    return Render(done.stdout, done.stderr, tuple(each for each in yaml.safe_load_all(done.stdout) if each))


def lint(example: str) -> str:
    """Return what `helm lint --strict` says that is no information."""
    done = _run(tool("helm"), "lint", "--strict", str(CHART), "--values", str(FOLDER / f"examples/{example}.yaml"))
    return done.stdout if done.returncode else ""


def environment(pod: Object) -> dict[str, Object]:
    """Return what the one container of a pod is told, by name."""
    (container,) = pod["spec"]["containers"]
    names = [each["name"] for each in container["env"]]
    assert len(names) == len(set(names))
    return {each["name"]: each for each in container["env"]}


def judged(text: str, schemas: Path) -> list[str]:
    """Return what kubeconform finds wrong in objects, one line each."""
    form = f"{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    done = _run(tool("kubeconform"), "-strict", "-output", "json", "-schema-location", form, "-", given=text)
    found = json.loads(done.stdout)["resources"]
    return [f"{each['kind']} {each['name']}: {each['msg']}" for each in found]


def schemas_of(version: str, folder: Path) -> Path:
    """Put all schemas of a version of the API, and of what the Prometheus operator adds, where kubeconform reads them.

    Those of the package name each other by addresses on the Internet.
    """
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        pytest.skip("was left out: kubernetes-validate, which carries the API's schemas, is not installed")
    source = Path(spec.origin).parent / f"kubernetes-json-schema/v{version}-local-strict"
    for path in _needed(source):
        schema = json.loads(path.read_text("utf-8"))
        own = {key: value for key, value in schema.items() if key not in {"$schema", "$id"}}
        (folder / path.name).write_text(json.dumps(own).replace('"/api/_definitions.json#', '"_definitions.json#'))
    for path in (Path(__file__).parent / "schemas").iterdir():
        shutil.copy(path, folder)
    return folder


def _needed(source: Path) -> Iterator[Path]:
    yield source / "_definitions.json"
    kinds = ("configmap-v1", "deployment-apps-v1", "horizontalpodautoscaler-autoscaling-v2", "job-batch-v1")
    more = ("networkpolicy-networking-v1", "poddisruptionbudget-policy-v1", "service-v1", "serviceaccount-v1")
    yield from (source / f"{name}.json" for name in kinds + more)


def _run(*command: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=SECONDS, check=False)
