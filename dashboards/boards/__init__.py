"""One file a dashboard; each defines DASHBOARD. Adding a file here adds a dashboard."""
