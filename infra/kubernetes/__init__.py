"""The service on Kubernetes: a chart, the image that it runs, and what of rules and dashboards comes with it."""
