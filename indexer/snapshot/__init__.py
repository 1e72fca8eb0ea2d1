"""Index snapshots: the index at a height as one signed file, written beside a live sync and restored elsewhere."""
