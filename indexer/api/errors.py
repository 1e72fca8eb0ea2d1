"""How errors are described in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from indexer.api.problems import MEDIA_TYPE
from indexer.api.shapes import Problem

Responses = dict[int | str, dict[str, Any]]

PROBLEM: dict[str, Any] = {"model": Problem, "content": {MEDIA_TYPE: {}}}
ERRORS: Responses = dict.fromkeys((401, 403, 404, 422, 429, 503), PROBLEM)
