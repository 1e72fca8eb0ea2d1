"""What keeps a deployment from its work."""

from __future__ import annotations


class DeployError(Exception):
    """What is wrong and what to do: one line."""
