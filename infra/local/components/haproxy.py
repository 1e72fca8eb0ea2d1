"""HAProxy: the address that people use. It spreads requests over the API's processes and outlasts their restarts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from infra.local.component import Component, http_probe
from infra.local.components import api
from infra.local.ports import LOOPBACK, Port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.local.component import Envelope

NAME = "haproxy"
PORT = "api"
METRICS = "haproxy_metrics"
CONFIG = "haproxy.cfg"

# What it answers in the API's place, in the API's form.
ERRORS = {
    400: ("Bad Request", "the request cannot be read"),
    403: ("Forbidden", "this is not open to the outside"),
    408: ("Request Timeout", "the request took too long to arrive"),
    500: ("Internal Server Error", "an unexpected error of the balancer"),
    502: ("Bad Gateway", "the API broke its answer off"),
    503: ("Service Unavailable", "no process of the API answers; try again shortly"),
    504: ("Gateway Timeout", "the API has not answered in time"),
}
RETRY_AFTER = 5  # seconds: a process is restarted sooner

# Requests without an error are in the API's own log.
LOG_FORMAT = {
    "timestamp": "%[date,utime(%Y-%m-%dT%H:%M:%SZ)]",
    "level": "WARNING",
    "logger": NAME,
    "message": "request failed or was retried",
    "request_id": "%[var(txn.request_id),json(utf8s)]",
    "method": "%[var(txn.method),json(utf8s)]",
    "path": "%[var(txn.path),json(utf8s)]",
    "client": "%ci",
    "server": "%s",
    "ended": "%ts",
    "retries": "%rc",
}
LOG_NUMBERS = {"status_code": "%ST", "duration_ms": "%Ta"}

CONFIGURATION = """\
global
    maxconn 4000
    no strict-limits # where fewer files may be open, fewer connections are taken
    nbthread 1       # carries more than all processes of the API
    hard-stop-after 3s
    stats socket unix@haproxy.sock mode 600 level admin
    log stdout format raw daemon

cache api
    total-max-size 32 # MB
    max-object-size 1000000
    max-age 60
    process-vary on

defaults
    mode http
    timeout connect 250ms # also what a retry waits after a refused connection
    timeout check 1s
    timeout client 30s
    timeout server 45s # above the longest query
    timeout http-request 10s
    timeout http-keep-alive 60s # below the API's
{errors}

frontend public
    bind {host}:{port}
    log global # here only: what it says of servers is on standard error already
    log-format '{log_format}'
    option dontlog-normal
    maxconn 3900
    option http-buffer-request # slow bodies wait here, as slow heads do
    acl loopback src 127.0.0.0/8 ::1
    acl internal path,url_dec -m beg /metrics /health/detailed
    acl personal req.hdr(Authorization) -m found
    acl personal req.hdr(X-API-Key) -m found
    http-request set-header X-Request-ID %[uuid()] unless {{ req.hdr(X-Request-ID) -m found }}
    http-request set-var(txn.request_id) req.fhdr(X-Request-ID)
    http-request set-var(txn.method) method
    http-request set-var(txn.path) path
    http-request set-var(txn.personal) bool(true) if personal
    http-request deny deny_status 403 if internal !loopback
    # Only what is seen here counts as the client's address.
    http-request del-header X-Forwarded-For
    http-request del-header Forwarded
    http-after-response set-header X-Request-ID %[var(txn.request_id)] if {{ var(txn.request_id) -m found }}
    # What the API said of its own cache was said to another client.
    http-after-response set-header Cache-Status "haproxy; hit" if {{ res.cache_hit }}
    default_backend api

backend api
    balance leastconn
    option forwardfor
    option http-no-delay # events are small and wanted at once
    http-reuse always    # a connection that was closed meanwhile costs a retry
    # A read that a dying process drops before it has begun to answer is asked of another one. What may change
    # something is sent again only when it was not sent at all.
    retries 2
    retry-on conn-failure empty-response
    option redispatch 1
    http-request disable-l7-retry unless METH_GET
    http-request set-timeout server 1h if {{ path /v1/indexer/events }}
    # Nothing of one client's is kept for others.
    http-request cache-use api unless {{ var(txn.personal) -m found }}
    http-response set-var(txn.request_id) res.fhdr(X-Request-ID) if {{ res.hdr(X-Request-ID) -m found }}
    http-response set-var(txn.rate_limit) res.fhdr(RateLimit)
    http-response set-var(txn.rate_limit_policy) res.fhdr(RateLimit-Policy)
    http-response del-header X-Request-ID
    http-response del-header RateLimit
    http-response del-header RateLimit-Policy
    acl private var(txn.personal) -m found
    acl private res.hdr(Set-Cookie) -m found
    http-response cache-store api unless private
    http-response set-header RateLimit %[var(txn.rate_limit)] if {{ var(txn.rate_limit) -m found }}
    http-response set-header RateLimit-Policy %[var(txn.rate_limit_policy)] if {{ var(txn.rate_limit_policy) -m found }}
    option httpchk
    http-check send meth GET uri {ready} ver HTTP/1.1 hdr Host {host}
    http-check expect status 200
    # A refused connection is enough: the next check takes the process in again.
    default-server inter 500ms downinter 200ms fall 1 rise 1 observe layer4 error-limit 1 on-error mark-down
{servers}
    # When none is ready they are asked all the same: a stale answer or an honest 503 of theirs says more than ours.
    option allbackups
{last_resort}

frontend metrics
    bind {host}:{metrics}
    monitor-uri /health
    http-request use-service prometheus-exporter if {{ path /metrics }}
    http-request return status 404
"""


def base_url(envelope: Envelope) -> str:
    """Return the root URL of the API."""
    return f"http://{LOOPBACK}:{envelope.ports[PORT]}"


def metrics_url(envelope: Envelope) -> str:
    """Return where the balancer's metrics are."""
    return f"http://{LOOPBACK}:{envelope.ports[METRICS]}/metrics"


def configuration(port: int, metrics: int, servers: Mapping[str, int]) -> str:
    """Return haproxy.cfg for these ports, those of the API's processes by name."""
    texts = [f'"{name}":"{form}"' for name, form in LOG_FORMAT.items()]
    numbers = [f'"{name}":{form}' for name, form in LOG_NUMBERS.items()]
    return CONFIGURATION.format(
        log_format=f"{{{','.join([*texts, *numbers])}}}",
        errors="\n".join(_error(status) for status in ERRORS),
        host=LOOPBACK,
        port=port,
        metrics=metrics,
        ready=api.READY,
        servers="\n".join(f"    server {name} {LOOPBACK}:{number} check" for name, number in servers.items()),
        last_resort="\n".join(
            f"    server {name}-unready {LOOPBACK}:{number} backup" for name, number in servers.items()
        ),
    )


def _error(status: int) -> str:
    title, detail = ERRORS[status]
    body = json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail})
    later = f" hdr Retry-After {RETRY_AFTER}" if title == "Service Unavailable" else ""
    return f"    http-error status {status} content-type application/problem+json string '{body}'{later}"


COMPONENTS = (
    Component(
        name=NAME,
        ports=(Port(PORT, 8_083), Port(METRICS, 8_404)),
        tools=("haproxy",),
        files=lambda envelope: {
            CONFIG: configuration(
                envelope.ports[PORT], envelope.ports[METRICS], {name: envelope.ports[name] for name in api.INSTANCES}
            )
        },
        # It runs in its own directory, where its socket lies: the path of a socket must not be long.
        command=lambda envelope: (str(envelope.tools["haproxy"]), "-db", "-f", CONFIG),
        metrics=METRICS,
        # Whether it has processes to ask is theirs to say: it takes in by itself those that become ready.
        probe=lambda envelope: http_probe(f"http://{LOOPBACK}:{envelope.ports[METRICS]}/health"),
        url=base_url,
        stop_signal="USR1",  # what is being answered is answered
        hint="`simplicity logs haproxy` tells why",
    ),
)
