"""Backups of an environment, and the proof that each of them brings the index back."""
