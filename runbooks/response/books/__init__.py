"""The answers, a file for each family of alerts, with its `RUNBOOKS`."""
