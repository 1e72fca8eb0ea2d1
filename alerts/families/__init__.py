"""Alerts by what they watch: each module has its GROUP."""
