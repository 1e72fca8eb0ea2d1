"""Which calls of AWS' API the table of the rehearsal makes: read from its text, since no run makes them all."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import botocore.session  # type: ignore[import-untyped]  # botocore ships no types
from botocore import xform_name

from infra.cloud.rehearsal import kinds

# boto3's names of services that IAM calls otherwise.
_SERVICES = {
    "amp": "aps",
    "elbv2": "elasticloadbalancing",
}


@cache
def calls() -> frozenset[str]:
    """Return them as IAM's actions are written: `rds:CreateDBCluster`."""
    session = botocore.session.get_session()
    found: set[str] = set()
    for path in sorted(Path(str(kinds.__file__)).parent.glob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        words = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        words |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        services = {
            str(node.args[0].value)
            for node in nodes
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "aws"
            and isinstance(node.args[0], ast.Constant)
        }
        for service in services:
            for operation in session.get_service_model(service).operation_names:
                if xform_name(operation) in words:
                    found.add(f"{_SERVICES.get(service, service)}:{operation}")
    return frozenset(found)
