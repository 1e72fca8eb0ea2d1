"""The database: one interface, three ways to run it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.cloud.site import Tier
from infra.cloud.tiers.aurora import Aurora
from infra.cloud.tiers.patroni import Patroni
from infra.cloud.tiers.postgres import DatabaseArgs
from infra.cloud.tiers.rds import Rds

if TYPE_CHECKING:
    import pulumi

__all__ = ["Database", "DatabaseArgs"]

_CHOICES: dict[str, type[Aurora | Rds | Patroni]] = {"aurora": Aurora, "rds": Rds, "patroni": Patroni}


class Database(Tier):
    """A database as `database.kind` chooses it.

    `writer` and `reader` are hosts as libpq takes them: a name, or several with commas. `port` is theirs.
    `identifier` is what AWS (or Patroni) calls it, `arn` its ARN; None where AWS does not run it. `admin_secret_arn`
    names the administrator's secret, which RDS makes itself; None where it is one of the stack's own. `addresses` are
    Patroni's hosts.
    """

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        chosen = _CHOICES[args.site.settings.database.kind](name, args, self.child())
        self.writer, self.reader, self.port = chosen.writer, chosen.reader, chosen.port
        self.identifier, self.admin_secret_arn = chosen.identifier, chosen.admin_secret_arn
        self.arn = chosen.arn
        self.addresses: tuple[pulumi.Output[str], ...] = chosen.addresses if isinstance(chosen, Patroni) else ()
        self.register_outputs({"writer": self.writer, "reader": self.reader, "identifier": self.identifier})
