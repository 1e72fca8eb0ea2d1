"""What is worth an alert and has none yet: with the reason, and what it waits for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """An alert that is not there yet. `meanwhile`: what tells of it until then, as far as anything does."""

    fault: str
    condition: str
    reason: str
    meanwhile: str


LATER: tuple[Later, ...] = (
    Later(
        fault="a certificate that was renewed, while the old one is still served",
        condition="what a port answers with ends earlier than what lies in the file",
        reason="only who connects to the port sees it: it comes with a prober",
        meanwhile="`CertificateExpiring` tells of files; the playbook has services read what it has renewed",
    ),
)
