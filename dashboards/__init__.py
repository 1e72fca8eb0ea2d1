"""Dashboards in typed Python: from one definition come Grafana's JSON and the pictures for those without Grafana."""
