"""Runbooks for the daily running of an environment: one file each, with its `RUNBOOK`."""
