"""What keeps a load test from being run."""

from __future__ import annotations


class LoadtestError(Exception):
    """The test cannot be run, or was not: one line that says why and what to do."""


class UsageError(LoadtestError):
    """What was asked for makes no sense: one line that says what is wrong."""
