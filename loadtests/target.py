"""Whom a load test asks: an environment by its document, or an address."""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from loadtests.errors import UsageError

VERSION: Final = 1
DRIVER: Final = "load_metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`host` is the API's base URL. `targets` is where Prometheus looks for targets, "" where it does not."""

    host: str
    name: str = ""
    place: str = ""
    cluster: str = ""
    targets: str = ""

    @property
    def is_here(self) -> bool:
        """Whether nobody else would feel a test: a local environment, or an address of this machine.

        A document's word counts and not its address: behind one of this machine a tunnel may lead anywhere.
        """
        return self.place == "local" if self.place else _is_loopback(urlsplit(self.host).hostname or "")

    @property
    def labels(self) -> dict[str, str]:
        """The labels by which Prometheus knows the environment."""
        return {"cluster": self.cluster, "place": self.place}


def of_url(url: str) -> Target:
    """Return the target behind a URL. Raises UsageError."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
        raise UsageError("--host is no URL such as https://api.example.com; a key goes into --key-file")
    return Target(host=url.rstrip("/"))


def of_document(path: Path) -> Target:
    """Return what an environment document says; other fields than ours are left alone. Raises UsageError."""
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"{path}: no environment here; `simplicity up` makes the local one, or give --environment or --host"
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from None
    if not isinstance(value, dict) or value.get("version") != VERSION:
        raise UsageError(f"{path}: is no environment of version {VERSION}; use the release that wrote it")
    try:
        settings = value["drivers"].get(DRIVER, {}).get("settings", {})
        return Target(
            host=of_url(value["endpoints"]["api"]).host,
            name=str(value["name"]),
            place=str(value["place"]),
            cluster=str(value["metrics"]["labels"].get("cluster", value["name"])),
            targets=_directory(settings.get("directory", "")),
        )
    except (KeyError, AttributeError, TypeError) as error:
        raise UsageError(f"{path}: is no whole environment ({error}); write it anew") from None


def default_document() -> Path:
    """Return where the local envelope's document is: below SIMPLICITY_HOME, else in the checkout, else here."""
    chosen = os.environ.get("SIMPLICITY_HOME")
    checkout = Path(__file__).resolve().parents[1]
    base = checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()
    return (Path(chosen).expanduser() if chosen else base / ".simplicity") / "local" / "environment.json"


def keys_of(path: Path) -> tuple[str, ...]:
    """Return the API keys of a file, one a line; empty lines and such that begin with # are none. Raises UsageError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{path}: the keys cannot be read; give a file with a key a line") from None
    keys = tuple(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
    if not keys:
        raise UsageError(f"{path}: has no key; put one into each line, from `simplicity auth keys create`")
    if not all(key.isascii() and key.isprintable() and " " not in key for key in keys):
        raise UsageError(f"{path}: has a line that is no key")
    return keys


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _directory(text: str) -> str:
    # Where the monitoring is not on this machine, there is nothing to be written.
    return text if text and Path(text).is_dir() else ""
