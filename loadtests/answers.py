"""What is asked of the API, and whether what it says is an answer to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final, TypeAlias

Check: TypeAlias = Callable[[Any], str]

PREFIX = "/v1/indexer"
_SERVER_ERRORS = 500
_ROWS = 1_000  # a page has at most as many


class Outcome(StrEnum):
    """How a request ended."""

    OK = "ok"
    LIMITED = "limited"  # 429: the limit was met, and not the service
    SERVER_ERROR = "server_error"  # 5xx
    UNANSWERED = "unanswered"  # no connection, no answer within the time, half an answer
    WRONG = "wrong"  # an answer, and not to this question


FAILED: Final = frozenset({Outcome.SERVER_ERROR, Outcome.UNANSWERED, Outcome.WRONG})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A GET request, counted under the template `route`; `check` says what is wrong with a body, "" for nothing."""

    route: str
    path: str
    check: Check
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `headers` have lower-case names; status 0 stands for none, `error` then says why."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a request ended, and why where it was not well."""

    outcome: Outcome
    reason: str = ""


def judge(question: Question, answer: Answer) -> Judgement:
    """Hold an answer against its question."""
    status = answer.status
    if status == 0:
        return Judgement(Outcome.UNANSWERED, f"no answer: {answer.error or 'the connection ended'}")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Judgement(Outcome.LIMITED, "429")
    if status >= _SERVER_ERRORS:
        return Judgement(Outcome.SERVER_ERROR, str(status))
    if status == HTTPStatus.NOT_MODIFIED and question.etag:
        return Judgement(Outcome.OK)
    wrong = f"{status} instead of 200" if status != HTTPStatus.OK else _wrong_body(question, answer.body)
    return Judgement(Outcome.WRONG, wrong) if wrong else Judgement(Outcome.OK)


def _wrong_body(question: Question, text: bytes) -> str:
    try:
        body = json.loads(text)
    except ValueError:
        return "is no JSON"
    return question.check(body)


def one(*fields: str, **same: object) -> Check:
    """Return a check: an object that has these fields, and in some of them these values."""

    def check(body: Any) -> str:  # noqa: ANN401 - JSON
        return _wrong(body, fields, same)

    return check


def rows(*fields: str, most: int = _ROWS, **same: object) -> Check:
    """Return a check: a list of at most so many objects, each as `one` has it."""

    def check(body: Any) -> str:  # noqa: ANN401 - JSON
        if not isinstance(body, list):
            return "is no list"
        if len(body) > most:
            return f"has more than {most} rows"
        return next((wrong for row in body if (wrong := _wrong(row, fields, same))), "")

    return check


def _wrong(body: Any, fields: tuple[str, ...], same: dict[str, object]) -> str:  # noqa: ANN401 - JSON
    if not isinstance(body, dict):
        return "is no object"
    if missing := next((name for name in (*fields, *same) if name not in body), ""):
        return f"has no {missing}"
    if other := next((name for name, value in same.items() if body[name] != value), ""):
        return f"has another {other}"
    return ""
