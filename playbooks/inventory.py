#!/usr/bin/env python3
"""Ansible's inventory of an environment: the hosts of its document, by role. SIMPLICITY_ENVIRONMENT names the document.

By hand: `SIMPLICITY_ENVIRONMENT=.simplicity/fleet/run/environment.json playbooks/inventory.py --list`
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from infra import overrides
from infra.environment import EnvironmentFileError, load

if TYPE_CHECKING:
    from infra.environment import Environment

# Groups of hosts that have no role of their own in the document: an odd number of votes.
VOTES = ("database", "monitoring")


def inventory(environment: Environment) -> dict[str, Any]:
    """Return the inventory as Ansible's script plugin reads it."""
    groups = {role: {"hosts": [host.name for host in hosts]} for role, hosts in environment.hosts.items()}
    votes = dict.fromkeys(name for role in VOTES for name in groups.get(role, {"hosts": []})["hosts"])
    hosts = {host.name: host for each in environment.hosts.values() for host in each}
    return {
        **groups,
        "etcd": {"hosts": list(votes)},
        "all": {"vars": _of_all(environment)},
        "_meta": {"hostvars": {name: {"ansible_host": host.address} for name, host in hosts.items()}},
    }


def _of_all(environment: Environment) -> dict[str, Any]:
    driver = environment.drivers["hosts"]
    return {
        "ansible_ssh_common_args": f"-F {driver.settings['config']}" if "config" in driver.settings else "",
        "control_addresses": [driver.settings["from"]],
        "environment_name": environment.name,
        "environment_place": environment.place,
        "bitcoin_network": environment.network,
        "start_height": environment.start_height,
        "node_rpc_url": environment.endpoints.node_rpc,
        "node_rpc_user": environment.drivers["node"].settings["user"],
        "api_url": environment.endpoints.api,
        "virtual_address": urlsplit(environment.endpoints.api).hostname,
        "database": environment.endpoints.database.model_dump(),
        "secret_files": {name: each.name for name, each in environment.secrets.items() if each.source == "file"},
        "backup": environment.drivers["backup"].settings,
        "pki_directory": environment.drivers["certificates"].settings["directory"],
        **_overrides(environment),
    }


def _overrides(environment: Environment) -> dict[str, Any]:
    """Return what `simplicity infrastructure update-config` has set here: settings and parameters, by name."""
    driver = environment.drivers.get("overrides")
    found = overrides.read(Path(driver.settings["file"])) if driver else overrides.NONE
    return {"indexer_settings": dict(found.service), "postgresql_parameters": dict(found.database)}


def main() -> int:
    """Print the inventory; 2 where there is no usable document."""
    path = os.environ.get("SIMPLICITY_ENVIRONMENT")
    if path is None:
        sys.stderr.write("inventory: set SIMPLICITY_ENVIRONMENT to an environment document\n")
        return 2
    try:
        found = inventory(load(Path(path)))
    except EnvironmentFileError as error:
        sys.stderr.write(f"inventory: {error}\n")
        return 2
    sys.stdout.write(json.dumps({} if "--host" in sys.argv[1:] else found) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
