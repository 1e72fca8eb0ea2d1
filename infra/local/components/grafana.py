"""Grafana, only where one is installed: the same dashboards, readable by everybody on this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from dashboards import catalog
from infra.local.component import SCRAPE_SECONDS, Component, http_probe
from infra.local.components import operations
from infra.local.layout import EnvelopeError
from infra.local.ports import LOOPBACK, Port

if TYPE_CHECKING:
    from infra.local.component import Envelope

NAME = "grafana"
PORT = "grafana"
PASSWORD = "grafana_admin_password"  # noqa: S105 # nosec B105 - the secret's name
DATA_SOURCE = "prometheus"
SOURCE_PORT = "prometheus"  # that component names this one in its links, and cannot be imported as well
# Where distributions put what Grafana itself reads; an unpacked archive has it beside `bin`.
HOME = Path("/usr/share/grafana")
BOARDS = "dashboards"

# It asks nobody outside of this machine, neither for news nor for plug-ins.
CONFIGURATION = """\
[server]
http_addr = {host}
http_port = {port}
[paths]
data = {directory}/data
logs = {directory}/log
plugins = {directory}/plugins
provisioning = {directory}/provisioning
[log]
mode = console
level = warn
[security]
admin_password = $__file{{{password}}}
disable_gravatar = true
[auth.anonymous]
enabled = true
org_role = Viewer
[users]
allow_sign_up = false
[dashboards]
default_home_dashboard_path = {home_dashboard}
[analytics]
reporting_enabled = false
check_for_updates = false
check_for_plugin_updates = false
feedback_links_enabled = false
[news]
news_feed_enabled = false
[plugins]
plugin_admin_enabled = false
preinstall_disabled = true
[unified_alerting]
enabled = false
"""


def program() -> Path | None:
    """Return the program in PATH, None where there is none."""
    found = shutil.which("grafana")
    return Path(found) if found else None


def is_there() -> bool:
    """Say whether this machine has a Grafana."""
    return program() is not None


def base_url(envelope: Envelope) -> str:
    """Return the root URL of Grafana."""
    return f"http://{LOOPBACK}:{envelope.ports[PORT]}"


def _files(envelope: Envelope) -> dict[str, str]:
    from dashboards.grafana import as_json  # noqa: PLC0415 - its SDK takes longer to load than `up` may take here

    page, boards = operations.base_url(envelope), envelope.directory(NAME) / BOARDS
    source = {
        "name": "Prometheus",
        "uid": DATA_SOURCE,
        "type": "prometheus",
        "access": "proxy",
        "url": f"http://{LOOPBACK}:{envelope.ports[SOURCE_PORT]}",
        "isDefault": True,
        "editable": False,
        "jsonData": {"timeInterval": f"{SCRAPE_SECONDS}s", "httpMethod": "POST"},
    }
    provider = {
        "name": "simplicity",
        "type": "file",
        "disableDeletion": True,
        "allowUiUpdates": False,
        "options": {"path": str(boards)},
    }
    return {
        "grafana.ini": CONFIGURATION.format(
            host=LOOPBACK,
            port=envelope.ports[PORT],
            directory=envelope.directory(NAME),
            password=envelope.layout.secrets / PASSWORD,
            home_dashboard=boards / "overview.json",
        ),
        # JSON, which is YAML.
        "provisioning/datasources/prometheus.yaml": _text({"apiVersion": 1, "datasources": [source]}),
        "provisioning/dashboards/simplicity.yaml": _text({"apiVersion": 1, "providers": [provider]}),
        # The committed ones, but for the links, which lead to the page of this envelope.
        **{f"{BOARDS}/{board.uid}.json": as_json(board, operations=page) for board in catalog.dashboards()},
    }


def _text(document: object) -> str:
    return json.dumps(document, indent=2) + "\n"


def _command(envelope: Envelope) -> tuple[str, ...]:
    found = program()
    if found is None:
        raise EnvelopeError("grafana is no longer in PATH; run `simplicity up` again")
    unpacked = found.resolve().parents[1]
    home = unpacked if (unpacked / "conf" / "defaults.ini").is_file() else HOME
    return (str(found), "server", f"--homepath={home}", f"--config={envelope.directory(NAME) / 'grafana.ini'}")


COMPONENTS = (
    Component(
        name=NAME,
        ports=(Port(PORT, 3_000),),
        secrets=(PASSWORD,),
        wanted=lambda _: is_there(),
        files=_files,
        command=_command,
        metrics=PORT,
        probe=lambda envelope: http_probe(f"{base_url(envelope)}/api/health"),
        url=base_url,
        hint=f"`simplicity logs {NAME}` tells why; without `grafana` in PATH it is left out",
    ),
)
