"""What differs between the places behind small protocols: services, backups, traffic, size, failover, secrets."""
