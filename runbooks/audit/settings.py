"""Where the trail's copy is: two settings of their own, as only on-call's commands have to do with it."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - a name that pydantic needs when it runs
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from indexer.settings import ConfigurationError


class AnchorSettings(BaseSettings):
    """AUDIT_ANCHOR_URL: an object store of audit/objects.py; AUDIT_LOCK_DAYS: how long S3 locks what is put there."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, case_sensitive=True)

    AUDIT_ANCHOR_URL: str | None = None
    AUDIT_LOCK_DAYS: Annotated[int, Field(ge=1, le=36_500)] | None = None


def load(env_file: Path | None, *, url: str | None = None, lock_days: int | None = None) -> AnchorSettings:
    """Return the settings of the environment over those of a file; `url` and `lock_days` replace them.

    Raises ConfigurationError in one line.
    """
    if env_file is not None and not env_file.is_file():
        raise ConfigurationError(f"{env_file}: no such file; name an existing one with --env-file")
    try:
        found = AnchorSettings(_env_file=env_file or ".env")
    except ValidationError:
        raise ConfigurationError("AUDIT_LOCK_DAYS: must be 1 to 36500 days") from None
    return found.model_copy(
        update={
            "AUDIT_ANCHOR_URL": url or found.AUDIT_ANCHOR_URL,
            "AUDIT_LOCK_DAYS": lock_days or found.AUDIT_LOCK_DAYS,
        }
    )
