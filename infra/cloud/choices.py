"""Settings of what a stack may have beside its tiers: Amazon's Grafana, the account's trail, pipelines' roles."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

_REPOSITORY = r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,37}[A-Za-z0-9])?/[A-Za-z0-9._-]{1,100}$"
_BUCKET = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
_KEY = r"^arn:aws:kms:[a-z0-9-]+:\d{12}:key/[a-f0-9-]+$"


class Part(BaseModel):
    """A group of settings: what is no setting of it is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GrafanaSettings(Part):
    """Where dashboards are: on the monitoring host, or Amazon's service, which people sign in to by their own identity.

    `admins` and `editors` are values of the attribute `role_attribute` (saml), or ids of groups in IAM Identity Center
    (sso).
    """

    kind: Literal["host", "managed"] = "host"
    sign_in: Literal["saml", "sso"] = "saml"
    metadata_url: str | None = Field(default=None, pattern=r"^https://[^@\s]+$", description="of who identifies them")
    role_attribute: str = Field(default="role", pattern=r"^\S{1,256}$")
    admins: tuple[str, ...] = ()
    editors: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _says_who_signs_in(self) -> GrafanaSettings:
        if self.kind == "host":
            if self.metadata_url or self.admins or self.editors:
                raise ValueError("metadata_url, admins and editors are of kind managed alone")
            return self
        if (self.sign_in == "saml") != (self.metadata_url is not None):
            raise ValueError("sign_in saml needs metadata_url, where who identifies people describes itself; sso none")
        if not self.admins:
            raise ValueError("kind managed needs admins, or nobody could set it up")
        return self


class TrailSettings(Part):
    """Who called what of AWS' own interface, in all regions of the account."""

    # An account has one: an organization's, or that of one of its stacks. A second one is paid for and tells no more.
    kind: Literal["none", "account"] = "none"
    days: int = Field(default=365, ge=90, le=3_650)


class PipelineSettings(Part):
    """What pipelines at GitHub may do here; nothing without a repository."""

    repository: str | None = Field(default=None, pattern=_REPOSITORY, description="OWNER/NAME at GitHub")
    # An account believes GitHub once: one of its stacks says so, the others use that.
    provider: Literal["make", "use"] = "make"
    state: str | None = Field(default=None, pattern=_BUCKET, description="the bucket of PULUMI_BACKEND_URL")
    state_key: str | None = Field(default=None, pattern=_KEY, description="the key of the state's secrets: its ARN")

    @model_validator(mode="after")
    def _reaches_its_state(self) -> PipelineSettings:
        if (self.repository is None) != (self.state is None) or (self.state is None) != (self.state_key is None):
            raise ValueError("repository, state and state_key go together: without its state a pipeline plans nothing")
        return self
