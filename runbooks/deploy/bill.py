"""The bill of materials of a release, as CycloneDX 1.6: every wheel with its version, licence, address and hashes."""

from __future__ import annotations

import zipfile
from email.parser import HeaderParser
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from packaging.utils import canonicalize_name

from runbooks.deploy.errors import DeployError
from runbooks.deploy.manifest import digest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from email.message import Message
    from pathlib import Path

UNKNOWN = frozenset({"", "UNKNOWN"})
LONGEST_LICENCE = 100  # some packages put the whole text where its name belongs


def bill(name: str, version: str, made_at: str, wheels: Iterable[Path], own: Path) -> dict[str, Any]:
    """Return the bill of a release of this name and version."""
    by_package: dict[str, dict[str, Any]] = {}
    for path in sorted(wheels):
        made = component(path)
        known = by_package.setdefault(made["bom-ref"], made)
        if known is not made:  # the same package for another machine
            known["hashes"] += made["hashes"]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, f'simplicity:{name}')}",
        "version": 1,
        "metadata": {"timestamp": made_at, "component": {**component(own), "type": "application", "version": version}},
        "components": list(by_package.values()),
    }


def component(path: Path) -> dict[str, Any]:
    """Return a wheel as a component. Raises DeployError for one without metadata."""
    about = metadata(path)
    name, version = canonicalize_name(str(about["Name"])), str(about["Version"])
    address = f"pkg:pypi/{name}@{version}"
    made: dict[str, Any] = {
        "type": "library",
        "bom-ref": address,
        "name": name,
        "version": version,
        "purl": address,
        "hashes": [{"alg": "SHA-256", "content": digest(path)}],
    }
    licences = licences_of(about)
    return made | ({"licenses": licences} if licences else {})


def licences_of(about: Message) -> list[dict[str, Any]]:
    """Return what a package says of its licence: an expression, else names; nothing where it says nothing."""
    expression = str(about["License-Expression"] or "").strip()
    if expression:
        return [{"expression": expression}]
    named = [
        str(each).rpartition("::")[2].strip()
        for each in about.get_all("Classifier", [])
        if str(each).startswith("License ::")
    ]
    text = str(about["License"] or "").strip()
    if not named and text not in UNKNOWN and len(text) <= LONGEST_LICENCE and "\n" not in text:
        named = [text]
    return [{"license": {"name": each}} for each in named]


def metadata(path: Path) -> Message:
    """Return what a wheel says of itself. Raises DeployError."""
    try:
        with zipfile.ZipFile(path) as archive:
            inside = next(
                name for name in archive.namelist() if name.endswith(".dist-info/METADATA") and name.count("/") == 1
            )
            return HeaderParser().parsestr(archive.read(inside).decode("utf-8"))
    except (OSError, zipfile.BadZipFile, StopIteration, UnicodeDecodeError):
        raise DeployError(f"{path.name}: is no wheel with metadata") from None
