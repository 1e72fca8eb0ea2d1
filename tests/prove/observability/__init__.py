"""Is nothing in alerts and dashboards unproven? Real faults on a real envelope say."""
