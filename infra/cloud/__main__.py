"""What `pulumi up` runs: `Pulumi.yaml` points here."""

from __future__ import annotations

import pulumi

from infra.cloud.program import build
from infra.cloud.settings import SettingsError
from infra.cloud.stacks import from_pulumi

try:
    settings = from_pulumi()
except SettingsError as error:
    raise pulumi.RunError(str(error)) from None
build(settings)
