"""The pages of an envelope that people open in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.local.components import grafana, haproxy, operations, prometheus

if TYPE_CHECKING:
    from infra.local.component import Envelope


def pages(envelope: Envelope) -> dict[str, str]:
    """Return addresses by name."""
    api = haproxy.base_url(envelope)
    found = {
        "operations": operations.base_url(envelope),
        "api": api,
        "docs": f"{api}/docs",
        "prometheus": prometheus.base_url(envelope),
    }
    return found | ({"grafana": grafana.base_url(envelope)} if grafana.is_there() else {})
