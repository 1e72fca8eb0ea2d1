"""Alert rules and the SLO they come from."""
