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
from runbooks.drivers.protocols import Refusal

if TYPE_CHECKING:
    from infra.environment import Environment

# Fewer votes on who leads decide nothing when one of them is lost.
FEWEST_VOTES = 3
FETCHED = "SIMPLICITY_SECRETS"
# Roles that playbooks ask for by name: a place that leaves one to others has an empty group of it.
ROLES = ("api", "balancer", "cache", "database", "indexer", "monitoring")
# The API's colours. Hosts of the fleet run both; in the cloud each has one.
COLOURS = ("blue", "green")
OPERATIONS_PORT = 8090


def inventory(environment: Environment) -> dict[str, Any]:
    """Return the inventory as Ansible's script plugin reads it, of one shape in every place.

    Raises Refusal where hosts have to be asked for and cannot be, or where a secret has not been fetched.
    """
    members, variables = _hosts(environment)
    members = {**_colours(members), **members}
    groups = {role: {"hosts": members.get(role, [])} for role in sorted({*ROLES, *members})}
    return {
        **groups,
        # Where a release is, whatever of it runs there.
        "application": {"hosts": sorted({*members.get("api", ()), *members.get("indexer", ())})},
        "etcd": {"hosts": votes(members.get("database", []), members.get("monitoring", []))},
        "all": {"vars": _of_all(environment)},
        "_meta": {"hostvars": variables},
    }


def _colours(members: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the hosts of each colour: all of the API where no host has a colour of its own."""
    names = [f"api_{colour}" for colour in COLOURS]
    both = [] if any(name in members for name in names) else members.get("api", [])
    return {name: members.get(name, both) for name in names}


def votes(databases: list[str], monitoring: list[str]) -> list[str]:
    """Return the hosts that vote on which database leads: an odd number of three or more, or none.

    A host of monitoring has the vote that an even number of databases lacks.
    """
    found = [*databases, *monitoring[:1]] if databases and len(databases) % 2 == 0 else [*databases]
    return found if len(found) % 2 and len(found) >= FEWEST_VOTES else []


def _hosts(environment: Environment) -> tuple[dict[str, list[str]], dict[str, dict[str, Any]]]:
    """Return the names of hosts by role, and the variables of each host."""
    driver = environment.drivers.get("hosts")
    if driver is not None and driver.kind == "ssm":
        from runbooks.drivers import aws_hosts  # noqa: PLC0415 - its packages are of no use elsewhere

        found = aws_hosts.hosts(environment)
        return aws_hosts.groups(found), aws_hosts.variables(environment, found)
    hosts = {host.name: host for each in environment.hosts.values() for host in each}
    return (
        {role: [host.name for host in there] for role, there in environment.hosts.items()},
        {name: {"ansible_host": host.address} for name, host in hosts.items()},
    )


def _of_all(environment: Environment) -> dict[str, Any]:
    def setting(driver: str, name: str) -> str:
        found = environment.drivers.get(driver)
        return found.settings.get(name, "") if found else ""

    config, control, backup = setting("hosts", "config"), setting("hosts", "from"), environment.drivers.get("backup")
    return {
        "ansible_ssh_common_args": f"-F {config}" if config else "",
        "control_addresses": [control] if control else [],
        "environment_name": environment.name,
        "environment_place": environment.place,
        "bitcoin_network": environment.network,
        "start_height": environment.start_height,
        "node_rpc_url": environment.endpoints.node_rpc,
        "node_rpc_user": setting("node", "user"),
        "api_url": environment.endpoints.api,
        "virtual_address": urlsplit(environment.endpoints.api).hostname,
        "database": environment.endpoints.database.model_dump(),
        "secret_files": _secret_files(environment),
        "database_authorities": environment.drivers["database_authorities"].settings
        if "database_authorities" in environment.drivers
        else {},
        "cache_address": urlsplit(environment.endpoints.cache or "").netloc,
        "balancer_networks": setting("traffic_switch", "networks").split(),
        "operations_url": environment.endpoints.operations or _beside(control),
        "backup": backup.settings if backup else {},
        "pki_directory": setting("certificates", "directory"),
        **_overrides(environment),
    }


def _beside(control: str) -> str:
    return f"http://{control}:{OPERATIONS_PORT}" if control else ""


def _secret_files(environment: Environment) -> dict[str, str]:
    """Return where each secret can be read: those of a store where `infrastructure fetch-secrets` has put them.

    Raises Refusal where those are not there: a host would be given an empty one.
    """
    files = {name: each.name for name, each in environment.secrets.items() if each.source == "file"}
    stored = [name for name, each in environment.secrets.items() if each.source == "store"]
    return files | _fetched(stored) if stored else files


def _fetched(stored: list[str]) -> dict[str, str]:
    directory = Path(os.environ.get(FETCHED) or ".")
    if not directory.is_absolute():  # Ansible's own directory is another one than that of whoever has named it
        raise Refusal(
            f"set {FETCHED} to the absolute path of the directory that `simplicity infrastructure fetch-secrets"
            " DIRECTORY` has made"
        )
    missing = [name for name in stored if not (directory / name).is_file()]
    if missing:
        raise Refusal(
            f"{directory}: {', '.join(missing)} missing; `simplicity infrastructure fetch-secrets DIRECTORY` writes all"
        )
    return {name: str(directory / name) for name in stored}


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
    except (EnvironmentFileError, Refusal) as error:
        sys.stderr.write(f"inventory: {error}\n")
        return 2
    sys.stdout.write(json.dumps({} if "--host" in sys.argv[1:] else found) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
