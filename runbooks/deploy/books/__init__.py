"""Runbooks of deployments."""
