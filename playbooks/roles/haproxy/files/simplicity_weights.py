#!/usr/bin/python3
"""Show or set which share of the traffic each colour of the API has, and keep that for the next start.

  simplicity-weights                     show
  simplicity-weights blue=95 green=5     set: each server of a colour gets this weight, 0 to 256
  simplicity-weights settle              give servers that were added the weight of their colour
  simplicity-weights leave               say in /health that this balancer stops, and wait until that was seen

The result is one JSON document. Exit code 0: it is as wanted; 1: it is not, and why; 2: the arguments are wrong.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import time
from collections import Counter
from pathlib import Path

SOCKET = "/run/haproxy/admin.sock"
STATE = Path("/var/lib/haproxy/server-state")
BACKEND = "api"
SECONDS = 5.0
SEEN_SECONDS = 2.0  # keepalived asks twice a second, and two times
MOST = 256
UP = "2"  # of srv_op_state


class WeightsError(Exception):
    """The balancer does not do what it was told."""


def ask(command: str) -> str:
    """Return what the balancer answers to a command of its runtime interface."""
    with socket.socket(socket.AF_UNIX) as runtime:
        runtime.settimeout(SECONDS)
        runtime.connect(SOCKET)
        runtime.sendall(f"{command}\n".encode())
        parts = []
        while part := runtime.recv(65536):
            parts.append(part)
    return b"".join(parts).decode().strip()


def servers(state: str) -> dict[str, dict[str, str]]:
    """Return the servers with a colour of a state document, by name."""
    lines = state.splitlines()
    names = next((line[2:].split() for line in lines if line.startswith("# ")), None)
    if names is None:
        raise WeightsError(f"the balancer's state cannot be read: {state[:200]!r}")
    rows = [dict(zip(names, line.split(), strict=False)) for line in lines if line and not line.startswith("#")]
    found = {row["srv_name"]: row for row in rows if row.get("be_name") == BACKEND}
    return {name: row for name, row in found.items() if colour_of(name)}


def colour_of(server: str) -> str:
    """Return the colour in a server's name; nothing for those that are asked when no other is ready."""
    found = re.fullmatch(r".+-(blue|green)", server)
    return found[1] if found else ""


def weight_of(row: dict[str, str]) -> int:
    """Return the weight of a server."""
    return int(row["srv_uweight"])


def look() -> dict[str, dict[str, str]]:
    """Return the servers as they are."""
    return servers(ask(f"show servers state {BACKEND}"))


def give(wanted: dict[str, int]) -> bool:
    """Give servers these weights; return whether any had another. Raises WeightsError where one refuses."""
    found = look()
    other = {name: weight for name, weight in wanted.items() if weight_of(found[name]) != weight}
    # Those that get more come first: at no moment is there nobody to ask.
    for name, weight in sorted(other.items(), key=lambda item: weight_of(found[item[0]]) - item[1]):
        if said := ask(f"set server {BACKEND}/{name} weight {weight}"):
            raise WeightsError(f"{name}: {said}")
    after = look()
    refused = [name for name, weight in wanted.items() if weight_of(after[name]) != weight]
    if refused:
        raise WeightsError(f"{', '.join(refused)}: the weight is not taken")
    return bool(other)


def keep() -> None:
    """Write the state for the next start: whole, or as it was."""
    fresh = STATE.with_name(f".{STATE.name}.new")
    with fresh.open("w") as target:
        target.write(ask("show servers state") + "\n")
        target.flush()
        os.fsync(target.fileno())
    fresh.replace(STATE)


def kept() -> dict[str, int]:
    """Return the weight of each colour as it was kept: what most of its servers have."""
    if not STATE.exists():
        return {}
    votes: dict[str, Counter[int]] = {}
    for name, row in servers(STATE.read_text()).items():
        votes.setdefault(colour_of(name), Counter())[weight_of(row)] += 1
    return {colour: counted.most_common(1)[0][0] for colour, counted in votes.items()}


def leave() -> None:
    """Let the shared address move to another balancer."""
    if said := ask("experimental-mode on; set var proc.leaving bool(true)"):
        raise WeightsError(said)
    time.sleep(SEEN_SECONDS)


def report(*, changed: bool) -> dict[str, object]:
    """Return what there is to say of the servers and their colours."""
    found = look()
    colours: dict[str, int] = {}
    for name, row in found.items():
        colours[colour_of(name)] = max(colours.get(colour_of(name), 0), weight_of(row))
    shown = {name: {"weight": weight_of(row), "up": row["srv_op_state"] == UP} for name, row in found.items()}
    return {"colours": colours, "servers": shown, "changed": changed}


def wanted_of(arguments: list[str]) -> dict[str, int]:
    """Return colours and weights of the command line. Raises ValueError."""
    wanted = {}
    for argument in arguments:
        colour, _, weight = argument.partition("=")
        if colour not in {"blue", "green"} or not weight.isdecimal() or int(weight) > MOST:
            raise ValueError(f"{argument}: say blue=N or green=N, N from 0 to {MOST}, or settle")
        wanted[colour] = int(weight)
    if wanted and not any(wanted.values()):
        raise ValueError("no colour would have any traffic")
    return wanted


def main(arguments: list[str]) -> int:
    """Do what was asked."""
    try:
        if arguments == ["leave"]:
            leave()
            return 0
        colours = kept() if arguments == ["settle"] else wanted_of(arguments)
        changed = give({name: colours[colour_of(name)] for name in look() if colour_of(name) in colours})
        if arguments:
            keep()
        print(json.dumps(report(changed=changed)))  # noqa: T201 - a command
    except ValueError as error:
        print(f"simplicity-weights: {error}", file=sys.stderr)  # noqa: T201 - a command
        return 2
    except (WeightsError, OSError) as error:
        print(f"simplicity-weights: {error}", file=sys.stderr)  # noqa: T201 - a command
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
