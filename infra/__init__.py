"""Where the service runs."""
