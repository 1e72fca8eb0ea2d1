"""Objects in a bucket: locks, versions, and what goes wrong on the network."""

from __future__ import annotations

import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from audit import s3 as s3_module
from audit import s3_parts
from audit.objects import MissingObjectError, ObjectExistsError, ObjectStoreError, open_store
from audit.s3_parts import _PART

if TYPE_CHECKING:
    from tests.support.buckets import Buckets


def _versions(s3: Buckets, bucket: str) -> int:
    return len(s3.client.list_object_versions(Bucket=bucket).get("Versions", ()))


@pytest.mark.parametrize("size", [5, _PART + 5])
def test_from_a_locked_bucket_nothing_can_be_deleted(s3: Buckets, size: int) -> None:
    bucket = s3.new(locked=True)
    store = open_store(f"s3://{bucket}/trail", lock_days=30)
    with store.writing("a/b") as file:
        file.write(bytes(size))

    with pytest.raises(ObjectStoreError, match="AccessDenied"):
        store.delete("a/b")
    (version,) = s3.client.list_object_versions(Bucket=bucket)["Versions"]
    with pytest.raises(s3.client.exceptions.ClientError, match="AccessDenied"):
        s3.client.delete_object(
            Bucket=bucket, Key="trail/a/b", VersionId=version["VersionId"], BypassGovernanceRetention=True
        )
    assert store.get("a/b") == bytes(size)
    held = s3.client.head_object(Bucket=bucket, Key="trail/a/b")
    assert held["ObjectLockMode"] == "COMPLIANCE"
    wanted = datetime.now(UTC) + timedelta(days=30)
    assert abs(held["ObjectLockRetainUntilDate"] - wanted) < timedelta(minutes=5)


def test_once_the_lock_has_run_out_a_deletion_takes_every_version(s3: Buckets) -> None:
    bucket = s3.new(locked=True)
    for data in (b"first", b"second"):
        s3.client.put_object(Bucket=bucket, Key="a", Body=data)
    s3.client.put_object(Bucket=bucket, Key="ab", Body=b"another")

    open_store(f"s3://{bucket}", lock_days=1).delete("a")

    assert _versions(s3, bucket) == 1


def test_what_lies_over_a_write_once_object_does_not_count(s3: Buckets) -> None:
    bucket = s3.new(locked=True)
    store = open_store(f"s3://{bucket}/trail", lock_days=30, write_once=True)
    store.put("a", b"genuine")
    store.put("b", b"genuine too")
    s3.client.put_object(Bucket=bucket, Key="trail/a", Body=b"forged and longer")
    s3.client.delete_object(Bucket=bucket, Key="trail/a")
    s3.client.delete_object(Bucket=bucket, Key="trail/b")
    with pytest.raises(MissingObjectError):
        open_store(f"s3://{bucket}/trail").get("a")

    assert store.names() == ["a", "b"]
    assert (store.get("a"), store.size("a")) == (b"genuine", 7)
    assert store.get("b") == b"genuine too"
    with pytest.raises(ObjectExistsError):
        store.put("a", b"again")
    with pytest.raises(ObjectExistsError), store.writing("b"):
        pass
    with pytest.raises(ObjectStoreError, match="write-once"):
        store.put("a", b"again", replace=True)
    with pytest.raises(MissingObjectError):
        store.get("c")


@pytest.mark.parametrize("write_once", [False, True])
def test_more_names_than_fit_on_a_page_are_all_given(
    s3: Buckets, monkeypatch: pytest.MonkeyPatch, *, write_once: bool
) -> None:
    monkeypatch.setattr(s3_module, "_PAGE", 2)
    bucket = s3.new()
    for name in ("p/1", "p/2", "p/3", "p/4", "p/5", "p/no name", "q/other"):
        s3.client.put_object(Bucket=bucket, Key=name, Body=b"")
    store = open_store(f"s3://{bucket}/p", write_once=write_once)

    assert store.names() == ["1", "2", "3", "4", "5"]
    assert store.get("5") == b""


def test_an_upload_that_fails_leaves_no_parts_that_cost(s3: Buckets) -> None:
    bucket = s3.new()
    store = open_store(f"s3://{bucket}")

    def broken() -> None:
        with store.writing("a") as file:
            file.write(bytes(_PART + 1))
            assert len(s3.client.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 1
            raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        broken()
    assert "Uploads" not in s3.client.list_multipart_uploads(Bucket=bucket)


def test_parts_grow_so_that_any_backup_fits(s3: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_parts, "_PART", 5 * 2**20)
    monkeypatch.setattr(s3_parts, "_GROWING", 1)
    bucket = s3.new()
    with open_store(f"s3://{bucket}").writing("a") as file:
        file.write(bytes(31 * 2**20))

    sizes = [
        s3.client.head_object(Bucket=bucket, Key="a", PartNumber=number)["ContentLength"] // 2**20
        for number in range(1, 5)
    ]
    assert sizes == [5, 10, 15, 1]


def test_a_missing_bucket_is_told_in_one_line_without_credentials(s3: Buckets) -> None:  # noqa: ARG001 - sets the server
    store = open_store("s3://no-such-bucket/a")

    with pytest.raises(ObjectStoreError, match="s3://no-such-bucket/a/b: NoSuchBucket") as told:
        store.put("b", b"")
    assert "\n" not in str(told.value)
    assert "not-to-be-shown" not in str(told.value)
    with pytest.raises(ObjectStoreError, match="NoSuchBucket"):
        store.names()


def test_a_server_that_is_away_is_told_in_one_line(s3: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://user:not-to-be-shown@127.0.0.1:9")
    began = time.monotonic()

    with pytest.raises(ObjectStoreError, match="does not answer") as told:
        open_store(f"s3://{s3.new()}").get("a")
    assert "not-to-be-shown" not in str(told.value)
    assert time.monotonic() - began < 30


def test_a_server_that_hangs_is_given_up_on(s3: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_module, "_READ", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(ObjectStoreError, match=r"does not answer .ReadTimeoutError"):
            open_store(f"s3://{s3.new()}").get("a")


def test_missing_credentials_are_told_with_what_to_set(s3: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("HOME", "/nonexistent")

    with pytest.raises(ObjectStoreError, match="no credentials; set AWS_PROFILE"):
        open_store(f"s3://{s3.new()}").get("a")


def test_an_endpoint_that_is_none_is_told_in_one_line(s3: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "no url")

    with pytest.raises(ObjectStoreError, match="cannot be asked"):
        open_store(f"s3://{s3.new()}").get("a")


def test_a_body_that_breaks_off_is_told_in_one_line(s3: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3.new()
    with socket.create_server(("127.0.0.1", 0)) as broken:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{broken.getsockname()[1]}")

        def answer() -> None:
            client, _ = broken.accept()
            with client:
                client.recv(65_536)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nETag: x\r\n\r\nshort")

        serving = threading.Thread(target=answer)
        serving.start()
        with pytest.raises(ObjectStoreError, match=r"a: "):
            open_store(f"s3://{bucket}").get("a")
        serving.join(10)


def test_a_bucket_that_cannot_lock_is_told(s3: Buckets) -> None:
    store = open_store(f"s3://{s3.new()}", lock_days=1)

    with pytest.raises(ObjectStoreError, match=r"InvalidRequest .*[Ll]ock"):
        store.put("a", b"")
    with pytest.raises(ObjectStoreError, match=r"InvalidRequest .*[Ll]ock"), store.writing("b") as file:
        file.write(b"")


def test_a_write_whose_answer_was_lost_is_no_clash_with_itself(s3: Buckets) -> None:
    store = open_store(f"s3://{s3.new()}")

    def lost(*, attempts: int, **_: object) -> int | None:
        return 0 if attempts == 1 else None  # seconds after which boto3 asks again, though it was done

    store._client.meta.events.register_first("needs-retry.s3.PutObject", lost)  # type: ignore[attr-defined]  # noqa: SLF001 - where boto3 decides about another try
    store.put("a", b"mine")
    assert store.get("a") == b"mine"
    with pytest.raises(ObjectExistsError):
        store.put("a", b"another's")
