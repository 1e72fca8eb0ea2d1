"""Real Debian hosts with systemd on a private bridge of this machine: the place where deployments are rehearsed."""
