"""An emulator of AWS's API in a process of its own, and the clients that speak to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3  # type: ignore[import-untyped]  # boto3 ships no types
import httpx2
from botocore.config import Config  # type: ignore[import-untyped]  # as above

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.cloud.rehearsal.kind import Aws

START_SECONDS = 60.0
# A session is not made for several threads at once; its clients are.
_MAKING = threading.Lock()
# It takes any; real ones have no business here.
_NOBODY = {"aws_access_key_id": "rehearsal", "aws_secret_access_key": "rehearsal"}  # nosec B105 - nobody's
# The one image that there is: Debian's, under the account and the name that it has on AWS.
_IMAGE = {
    "ami_id": "ami-0deb1a2130000000a",
    "owner_id": "136693071363",
    "name": "debian-13-arm64-20260901-2000",
    "description": "Debian 13",
    "architecture": "arm64",
    "public": True,
    "state": "available",
    "virtualization_type": "hvm",
    "hypervisor": "xen",
    "image_type": "machine",
    "root_device_name": "/dev/xvda",
    "root_device_type": "ebs",
    "creation_date": "2026-09-01T00:00:00.000Z",
}
_SAY_PORT = """
import sys
from infra.cloud.rehearsal import emulated, imitated
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
class Silent(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_request(self, *arguments): pass
application = DomainDispatcherApplication(create_backend_app)
emulated.extend()
imitated.extend()
server = make_server("127.0.0.1", int(sys.argv[1]), imitated.beside(application), threaded=True, request_handler=Silent)
print(server.server_port, flush=True)
server.serve_forever()
"""


class EmulatorError(Exception):
    """It does not start or does not answer."""


@cache
def _session() -> Any:  # noqa: ANN401 - boto3 has no types
    """Return the one session: it reads AWS's descriptions of its services once, which takes longer than most calls."""
    return boto3.Session(**_NOBODY)


@cache
def clients(endpoint: str, region: str) -> Aws:
    """Return what gives clients of the emulator in a region; this machine's own configuration of AWS does not count."""
    config = Config(
        retries={"total_max_attempts": 2},
        connect_timeout=5,
        read_timeout=60,
        proxies={},
        s3={"addressing_style": "path"},
        ignore_configured_endpoint_urls=True,
        max_pool_connections=32,
    )

    @cache
    def client(service: str) -> Any:  # noqa: ANN401 - boto3 makes its clients' types when it runs
        with _MAKING:
            return _session().client(service, region_name=region, endpoint_url=endpoint, config=config)

    return client


def command(port: int) -> list[str]:
    """Return the command of an emulator; it says its port on its first line. Port 0: any that is free."""
    return [sys.executable, "-I", "-c", _SAY_PORT, str(port)]


def settings_of(images: Path) -> dict[str, str]:
    """Return the environment of an emulator, and write the images that it has to a file."""
    images.write_text(json.dumps([_IMAGE]))
    return {
        "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": "rehearsal",
        "AWS_SECRET_ACCESS_KEY": "rehearsal",  # nosec B105 - nobody's
        "MOTO_AMIS_PATH": str(images),
        "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
        "MOTO_ACM_VALIDATION_WAIT": "0",  # it would count to sixty
    }


@contextmanager
def emulator(port: int = 0) -> Iterator[str]:
    """Run one on this machine and give its address; it forgets everything when it ends."""
    with tempfile.TemporaryDirectory(prefix="simplicity-rehearsal-") as scratch:
        environment = settings_of(Path(scratch) / "images.json")
        # Not a pipe: one that nobody reads fills up, and it would stand still in the middle of a complaint.
        complaints = Path(scratch) / "complaints"
        with (
            complaints.open("wb") as log,
            subprocess.Popen(command(port), env=environment, stdout=subprocess.PIPE, stderr=log) as process,
        ):
            try:
                said = process.stdout.readline().decode().strip() if process.stdout is not None else ""
                if not said:
                    reason = complaints.read_text().strip().rpartition("\n")[2]
                    raise EmulatorError(f"the emulator of AWS does not start: {reason}")
                endpoint = f"http://127.0.0.1:{said}"
                wait_for(endpoint)
                yield endpoint
            finally:
                process.kill()


def wait_for(endpoint: str) -> None:
    """Wait until it answers; raises EmulatorError."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            httpx2.get(f"{endpoint}/moto-api/", trust_env=False, timeout=5)
        except httpx2.HTTPError:
            if time.monotonic() > deadline:
                raise EmulatorError(f"the emulator of AWS does not answer at {endpoint}") from None
            time.sleep(0.1)
        else:
            return
