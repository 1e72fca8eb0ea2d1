"""The secrets: made empty; a command fills them, so that no value is ever in the program or in its state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_aws import secretsmanager

from infra.cloud.site import Site, Tier

if TYPE_CHECKING:
    import pulumi

    from infra.cloud.settings import Settings

_ALWAYS = (
    "database_writer_password",
    "database_reader_password",
    "database_monitoring_password",
    "cache_password",
    "auth_pepper",
    "operations_token",
    "node_rpc_password",
)
# Aurora and RDS have these jobs done by Amazon; who administers them has a password that RDS itself keeps and rotates.
_PATRONI = (
    "database_superuser_password",
    "database_replication_password",
    "database_rewind_password",
    "database_pooler_password",
    "database_backup_password",
    "backup_cipher",
)
# How long a deleted secret can be brought back. Its name is taken meanwhile: a stack for trying could not be made anew.
_PROTECTED_DAYS, _DAYS = 30, 0


def names(settings: Settings) -> tuple[str, ...]:
    """Return the names of a stack's secrets, as the Environment document has them."""
    return _ALWAYS + (_PATRONI if settings.database.kind == "patroni" else ())


def path(settings: Settings, name: str) -> str:
    """Return a secret's name in the account."""
    return f"simplicity/{settings.environment}/{name}"


@dataclass(frozen=True, kw_only=True)
class SecretsArgs:
    """`key` encrypts them."""

    site: Site
    key: pulumi.Input[str]


class Secrets(Tier):
    """`arns` by the secret's name; each ends in six characters that only AWS knows."""

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        site = args.site
        protect = site.settings.database.protect
        self.arns: dict[str, pulumi.Output[str]] = {
            each: secretsmanager.Secret(
                each,
                name=path(site.settings, each),
                description=f"{each.replace('_', ' ')} of {site.prefix}",
                kms_key_id=args.key,
                recovery_window_in_days=_PROTECTED_DAYS if protect else _DAYS,
                tags=site.tags(each.replace("_", "-")),
                opts=self.child(protect=protect),
            ).arn
            for each in names(site.settings)
        }
        self.register_outputs({"arns": self.arns})
