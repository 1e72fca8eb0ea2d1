"""What deployments, failures of machines and rotations cost the clients of a fleet: measured on booted hosts."""
