"""The rules of AWS Backup: that a plan's backups end and leave the region, and that nobody deletes them before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.cloud.policies.values import Props, at, each_of, is_later, is_production

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VAULT, LOCK = "aws:backup/vault:Vault", "aws:backup/vaultLockConfiguration:VaultLockConfiguration"
PLAN, SELECTION = "aws:backup/plan:Plan", "aws:backup/selection:Selection"
DATABASES = frozenset({"aws:rds/cluster:Cluster", "aws:rds/instance:Instance"})


def plan_faults(kind: str, inputs: Props) -> Iterator[str]:
    """Ask of each rule of a plan, and of each copy, that it says when a backup goes; in production for a copy."""
    for rule in each_of(inputs, "rules") if kind == PLAN else ():
        name = rule.get("ruleName")
        copies = each_of(rule, "copyActions")
        if not all(at(each, "lifecycle.deleteAfter") for each in (rule, *copies)):
            yield f"{name} has to say when a backup and its copy go: without it they are kept, and paid, for ever"
        if is_production(inputs) and not copies and not is_later(rule.get("copyActions")):
            yield f"{name} has to copy to another region"


def vault_faults(resources: Iterable[tuple[str, Props]]) -> list[str]:
    """Ask in production that each vault is locked, and that each database that AWS runs is in a plan."""
    resources = list(resources)

    def number(*kinds: str, production: bool = False) -> int:
        return sum(
            kind in kinds and not inputs.get("replicateSourceDb") and (is_production(inputs) or not production)
            for kind, inputs in resources
        )

    vaults, locks = number(VAULT, production=True), number(LOCK)
    databases, chosen = number(*DATABASES, production=True), number(SELECTION)
    found = []
    if locks < vaults:
        found.append(f"vaults: of {vaults} only {locks} have a lock")
    if chosen < databases:
        found.append(f"databases: of {databases} only {chosen} are in a plan of backups")
    return found
