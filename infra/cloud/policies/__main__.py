"""The policy pack, as `pulumi up --policy-pack infra/cloud/policies` runs it."""

from __future__ import annotations

from infra.cloud.policies.pack import make

make()
