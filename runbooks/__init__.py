"""The `simplicity` command and what on-call runs."""
