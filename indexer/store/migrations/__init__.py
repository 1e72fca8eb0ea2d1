"""Schema migrations: plain SQL, one file a revision."""
