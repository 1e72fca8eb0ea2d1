"""A real S3 server for tests, with and without Object Lock."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3  # type: ignore[import-untyped]  # boto3 ships no types
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


class Buckets:
    """A server and its buckets; `client` is boto3's, to look at what a store did and to do what an attacker would."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.environment = {
            "AWS_ENDPOINT_URL_S3": endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "not-to-be-shown",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            region_name="us-east-1",
        )

    def new(self, *, locked: bool = False) -> str:
        """Make a bucket, `locked` with Object Lock (and so with versions); return its name."""
        name = f"test-{secrets.token_hex(6)}"
        self.client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locked)
        return name

    def configure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let boto3 find this server by the environment, as a store does."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)


@contextmanager
def buckets() -> Iterator[Buckets]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Buckets(f"http://{host}:{port}")
    finally:
        server.stop()
