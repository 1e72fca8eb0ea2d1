"""The cloud program without a cloud: a provider that creates every resource in an emulator of AWS's API."""

from __future__ import annotations

import os

# gRPC's own library writes to standard error that a connection ended, each time that one does.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
