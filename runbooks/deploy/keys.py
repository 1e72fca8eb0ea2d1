"""Who signs releases and what is said of them, and whom an environment believes: Ed25519, as for snapshots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from indexer.settings import ConfigurationError
from indexer.snapshot import keys as signing
from infra.local.layout import EnvelopeError, private_directory
from runbooks.deploy.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.environment import Environment

DRIVER = "deploy"
KEY = "release_signing_key"
_HOW = "`simplicity deploy keys` makes one"


def paths(environment: Environment) -> tuple[Path | None, Path]:
    """Return where the private key lies, None where nothing is signed here, and the public one. Raises DeployError."""
    driver = environment.drivers.get(DRIVER)
    if driver is None or "trusted" not in driver.settings:
        raise DeployError(
            f"the document of {environment.name} names no key of releases (drivers.deploy); write it anew"
        )
    private = driver.settings.get("signing_key")
    return Path(private) if private else None, Path(driver.settings["trusted"])


def make(environment: Environment) -> tuple[Path, Path]:
    """Make both keys and return where they are. Raises DeployError, also where one is there."""
    private, public = paths(environment)
    if private is None:
        raise DeployError(f"{environment.name} signs nothing: bring the public key of who builds to {public}")
    if public.exists():
        raise DeployError(f"{public} is there, and a key is never overwritten: what it vouches for would be void")
    try:
        private_directory(private.parent)
        beside = private.with_name(f"{private.name}.pub")
        signing.generate(private)
        beside.replace(public)
    except (ConfigurationError, EnvelopeError) as error:
        raise DeployError(f"{error}") from None
    except OSError as error:
        raise DeployError(f"{public}: cannot be written ({error.strerror})") from None
    return private, public


def signer(path: Path | None) -> Callable[[bytes], bytes]:
    """Return what signs with the key in a file. Raises DeployError."""
    if path is None or not path.exists():
        raise DeployError(f"{path or 'no file'}: there is no key to sign releases with; {_HOW}")
    try:
        return signing.load_private(path).sign
    except ConfigurationError as error:
        raise DeployError(str(error)) from None


def trust(path: Path) -> Callable[[bytes, bytes], bool]:
    """Return what says whether bytes were signed by the owner of the public key in a file. Raises DeployError."""
    if not path.exists():
        raise DeployError(f"{path}: there is no key to trust; {_HOW}, or bring the public key of who builds")
    try:
        keys = signing.load_trusted([path])
    except ConfigurationError as error:
        raise DeployError(str(error)) from None
    return lambda text, signature: any(signing.is_signed(text, signature, key) for key in keys)
