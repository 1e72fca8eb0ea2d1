"""The state's consistency: recompute it, compare it with another indexer's, mend it."""
