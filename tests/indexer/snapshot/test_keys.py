from __future__ import annotations

import resource
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from indexer.settings import ConfigurationError
from indexer.snapshot import keys

if TYPE_CHECKING:
    from pathlib import Path

    from tests.indexer.snapshot.conftest import KeyPair


def test_keygen_writes_a_private_key_that_only_its_owner_reads_and_the_public_one_beside_it(tmp_path: Path) -> None:
    made = keys.generate(tmp_path / "k")
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600
    assert (tmp_path / "k").read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert (tmp_path / "k.pub").read_bytes().startswith(b"-----BEGIN PUBLIC KEY-----")
    assert keys.raw(keys.load_private(tmp_path / "k").public_key()) == keys.raw(made)
    assert keys.load_trusted([tmp_path / "k.pub"]) == {keys.raw(made)}


@pytest.mark.parametrize("taken", ["k", "k.pub"])
def test_keygen_overwrites_nothing_and_leaves_no_half_of_a_pair(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("precious")
    with pytest.raises(ConfigurationError, match=rf"{taken}: exists, and a key is never overwritten; choose another"):
        keys.generate(tmp_path / "k")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(taken, "precious")]


def test_keygen_leaves_nothing_on_a_full_disk(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60, before[1]))
    try:
        with pytest.raises(ConfigurationError, match="File too large; choose another place"):
            keys.generate(tmp_path / "k")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_keygen_says_where_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file or directory; choose another place"):
        keys.generate(tmp_path / "nowhere" / "k")


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"no key\n" * 10_000,
        X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
        Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ],
    ids=["empty", "long", "another kind", "encrypted", "public"],
)
def test_what_is_no_private_key_is_refused_in_one_line_that_repeats_nothing_of_it(tmp_path: Path, pem: bytes) -> None:
    (tmp_path / "k").write_bytes(pem)
    (tmp_path / "k").chmod(0o600)
    with pytest.raises(ConfigurationError) as refused:
        keys.load_private(tmp_path / "k")
    assert str(refused.value) == (
        f"--key {tmp_path}/k: is no Ed25519 private key in PEM form without a passphrase; "
        "make one with: simplicity snapshot keygen"
    )


def test_a_private_key_that_everybody_can_read_is_refused(maker: KeyPair, tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(maker.path.read_bytes())
    (tmp_path / "k").chmod(0o644)
    with pytest.raises(ConfigurationError, match=f"everybody can read this private key; run: chmod 600 {tmp_path}/k"):
        keys.load_private(tmp_path / "k")


def test_a_private_key_is_not_taken_for_one_to_trust(maker: KeyPair) -> None:
    with pytest.raises(ConfigurationError, match=r"is no Ed25519 public key in PEM form; give the \.pub file"):
        keys.load_trusted([maker.trust, maker.path])


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"--trust {tmp_path}/none: no such file"):
        keys.load_trusted([tmp_path / "none"])
    with pytest.raises(ConfigurationError, match=f"--key {tmp_path}: no such file"):
        keys.load_private(tmp_path)
