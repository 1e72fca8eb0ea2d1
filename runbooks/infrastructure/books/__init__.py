"""The runbooks of infrastructure."""
