"""The answer to alerts about what the API's processes share: Valkey, or Redis."""

from __future__ import annotations

from runbooks.response.acts import restart_step, service_parameter
from runbooks.response.answering import answer
from runbooks.response.looks import HEALTH, SERVICES, healthy_look

RUNBOOK = answer(
    "answer-cache-down",
    title="Answer: the cache is down",
    meaning="Valkey (or Redis) does not answer. The API goes on without it: each process keeps its own answers and "
    "counts rate limits for itself.",
    impact="Clients may ask more than their limit, up to as many times as there are processes; more queries reach the "
    "database. Nothing is lost: the cache holds nothing that cannot be read again.",
    diagnosis=(SERVICES, HEALTH),
    steps=(restart_step("valkey"),),
    verify=(healthy_look("cache"),),
    undo="There is nothing to take back: what it held is read again.",
    parameters=(service_parameter("valkey", example="valkey"),),
)
