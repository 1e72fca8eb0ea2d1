"""Alerts: the SLO that they come from, the rules, Alertmanager's configuration. A leaf: it imports nothing of ours."""
