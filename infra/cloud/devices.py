"""Where disks are attached to a host: the program attaches them, inventories look for them. It imports no Pulumi."""

from __future__ import annotations

# Debian's images have their root here.
ROOT_DEVICE, DATA_DEVICE = "/dev/xvda", "/dev/sdf"
