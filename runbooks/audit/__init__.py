"""`simplicity audit`: the trail for people."""
