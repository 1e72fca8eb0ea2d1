"""The hash-chained trail of who did what: a leaf that the service and the runbooks write."""
