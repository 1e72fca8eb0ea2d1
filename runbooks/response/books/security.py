"""The answer to alerts about who asks: refused credentials, tokens issued without end, floods."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from runbooks.engine.arguments import matching
from runbooks.engine.model import Halt, Look, Parameter, Step, Unmet
from runbooks.response.acts import NONE, evidence_step, metrics, of_scope
from runbooks.response.answering import answer
from runbooks.response.looks import HEALTH, SERVICES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runbooks.engine.model import Context, Json

MOST_BYTES = 20_000_000
LOGGER = "simplicity.security"
SHOWN = 15
RATES = metrics(
    failures_a_minute="sum by (reason) (rate(authentication_failures_total{HERE}[5m])) * 60",
    events_a_minute="sum by (event) (rate(security_events_total{HERE}[5m])) * 60",
    refused_by_limits_a_minute="sum by (class) (rate(rate_limited_total{HERE}[5m])) * 60",
    tokens_a_minute="sum(rate(jwt_tokens_issued_total{HERE}[5m])) * 60",
    tokens_a_minute_a_day_ago="sum(rate(jwt_tokens_issued_total{HERE}[5m] offset 1d)) * 60",
)


def tail(path: Path, most: int = MOST_BYTES) -> list[str]:
    """Return the last lines of a log, of at most so many bytes; none where there is no such file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - most))
            return file.read(most).decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def counted(lines: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Return who is in the security lines of a log, by what happened: a key's id or an address, and how often."""
    found: dict[str, Counter[tuple[str, str, str]]] = {}
    for line in lines:
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        if not isinstance(fields, dict) or fields.get("logger") != LOGGER:
            continue
        who = (str(fields.get("client")), str(fields.get("user_id")), str(fields.get("detail"))[:80])
        counts = found.setdefault(str(fields.get("message")), Counter())
        counts[who] += int(fields.get("unlogged") or 1)
    return {
        event: [
            {"client": client, "who": user, "detail": detail, "count": count}
            for (client, user, detail), count in counts.most_common(SHOWN)
        ]
        for event, counts in found.items()
    }


def _who(context: Context) -> Json:
    from infra.local.layout import layout  # noqa: PLC0415 - a page is shown without the envelope's packages

    if context.environment.place != "local":
        return "the logs are on the API's hosts"
    names = [one.name for one in of_scope(context, ("api",))]
    return counted([line for name in names for line in tail(layout().log / f"{name}.log")])


def _see_keys(context: Context) -> str:
    from runbooks.response.keys import listed  # noqa: PLC0415 - as in _who()

    try:
        found = listed(context)
    except Halt as error:
        # A look that halts would keep on-call from the rest of the answer.
        return f"cannot be told: {error}"
    live = [each for each in found if each["ended"] == ""]
    lines = (f"\n  {each['id']} {each['name']} ({each['role']}), made {each['made']}" for each in live[-SHOWN:])
    return f"{len(live)} of {len(found)} keys are live{''.join(lines)}"


def _revoke(context: Context) -> Mapping[str, Json]:
    from runbooks.response.keys import revoke  # noqa: PLC0415 - as in _who()

    key = str(context.arguments["key"])
    return {"revoked": "" if key == NONE else revoke(context, key)}


def _is_revoked(context: Context) -> str:
    from runbooks.response.keys import listed  # noqa: PLC0415 - as in _who()

    key = str(context.arguments["key"])
    if key == NONE:
        return "no key was named"
    if "revoked" not in context.facts:
        raise Unmet(f"key {key} is not revoked yet")
    ended = next((each["ended"] for each in listed(context) if each["id"] == key), None)
    if not ended:
        raise Halt(f"key {key} is live still; `simplicity auth keys revoke {key}`")
    return f"key {key} ended at {ended}; every API process refuses it and its tokens within a second"


RUNBOOK = answer(
    "answer-security",
    title="Answer: somebody tries keys, takes tokens without end, or floods the API",
    meaning="Credentials are refused, tokens are issued or requests are limited far more often than usual: an attack, "
    "a leaked key, or a client that was deployed with a key that has ended.",
    impact="None for others while the limits hold. A key that leaked can do what its role may until it is revoked.",
    diagnosis=(
        SERVICES,
        HEALTH,
        Look(
            title="Which keys are live",
            see=_see_keys,
            by_hand="`simplicity auth keys list --env-file FILE`",
        ),
    ),
    steps=(
        evidence_step(
            {"rates": RATES, "who": _who},
            "one key: revoke it by key=ID, and tell its owner; one address or network: refuse it at the balancer or "
            "the firewall; many addresses and no key: the limits hold, go on watching; a client of ours with an ended "
            "key: give it a new one",
            "`simplicity logs api-1 --level warning` (lines of `simplicity.security` name client and key), "
            "`simplicity audit show --action auth. --env-file FILE`",
        ),
        Step(
            name="revoke",
            title="Revoke the key that was named, and all of its tokens, for good",
            asserts="the database holds it as revoked; or none was named",
            act=_revoke,
            check=_is_revoked,
            within=60.0,
            by_hand="`simplicity auth keys revoke ID --env-file FILE`",
            destroys=True,
            spares=lambda arguments: arguments["key"] == NONE,
        ),
    ),
    undo="A revoked key stays revoked. Its owner gets another one by `simplicity auth keys create`.",
    parameters=(
        Parameter(
            name="key",
            help="The id of the key that is revoked, the 12 digits after `sk_`; none: no key is.",
            parse=matching(rf"{NONE}|[0-9a-f]{{12}}", "none, or the 12 digits that `simplicity auth keys list` shows"),
            example="3f9a1c5b7d20",
            default=NONE,
        ),
    ),
)
