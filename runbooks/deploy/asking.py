"""Questions to the API's processes and to Prometheus, over TLS of the environment's own authority, in bounded time."""

from __future__ import annotations

import json
import math
import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

from runbooks.deploy.errors import DeployError
from runbooks.deploy.network import enter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.environment import Environment

SECONDS = 5.0
RELEASE = "X-Release"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `release` is the one that answered, "" where it does not say."""

    status: int
    release: str
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - each path answers its own shape
        """Return the body as JSON. Raises DeployError."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise DeployError(f"answers {self.status} with what is no JSON") from None


def ask(environment: Environment, url: str, parameters: Mapping[str, str] | None = None) -> Answer:
    """Return what a URL answers. Raises DeployError where nothing does."""
    enter(environment)
    try:
        # trust_env off: a proxy for the outer world must not get what is asked of this environment.
        with httpx2.Client(verify=_trust(_authority(environment)), trust_env=False, timeout=SECONDS) as client:
            got = client.get(url, params=dict(parameters or {}))
            return Answer(got.status_code, got.headers.get(RELEASE, ""), got.content)
    except httpx2.HTTPError as error:
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise DeployError(f"{url}: does not answer ({why})") from None


def value(environment: Environment, expression: str) -> float:
    """Return the one value of an expression of PromQL, NaN where there is none. Raises DeployError."""
    answer = ask(environment, f"{environment.metrics.url}/api/v1/query", {"query": expression})
    body = answer.json()
    try:
        if body["status"] != "success":
            raise DeployError(f"{environment.metrics.url}: refuses the question: {str(body.get('error'))[:200]}")
        result = body["data"]["result"]
        return float(result[0]["value"][1]) if result else math.nan
    except (KeyError, TypeError, ValueError, IndexError):
        raise DeployError(
            f"{environment.metrics.url}: answers {answer.status} with what is no answer of Prometheus"
        ) from None


def _authority(environment: Environment) -> str | None:
    """Return the file of the environment's own authority, None where certificates are public ones."""
    driver = environment.drivers.get("certificates")
    directory = driver.settings.get("directory") if driver else None
    return str(Path(directory) / "ca.pem") if directory else None


@lru_cache(maxsize=4)
def _trust(authority: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authority)
    except OSError as error:
        raise DeployError(
            f"{authority}: the environment's authority cannot be read ({error.strerror or error})"
        ) from None
