"""Runbooks that make, prove and restore backups: one file each, with its `RUNBOOK`."""
