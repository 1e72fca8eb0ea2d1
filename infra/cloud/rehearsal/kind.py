"""One type of resource: how it is created, read, changed and deleted through the API of AWS.

A table of these is all that the rehearsal knows of AWS; a type or a property that is not in it fails the rehearsal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import (  # type: ignore[import-untyped]  # botocore ships no types
    BotoCoreError,
    ClientError,
)

from infra.cloud.rehearsal.values import Props

# Gives the boto3 client of a service by its name, in the region of the resource at hand.
Aws = Callable[[str], Any]
Change = Callable[[Aws, str, Props], None]

_GONE = ("NotFound", "Nonexistent", "NoSuch", "DoesNotExist", "404", "NotFoundFault")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A type: `aws:ec2/vpc:Vpc`.

    `create` returns the id that the real provider would give; its calls after the first are made inside `begun`.
    `read` returns what AWS tells: every property under the name and in the shape that the program writes it, and the
    outputs that others use (`arn`); None where it is gone; its third argument are the last known properties. `updates`
    says for a property how it is changed in place: the function gets the id and all wanted properties, and is called
    once however many of its properties differ. A property under `fixed` makes a replacement necessary. `unread` ones
    cannot be asked back (a password): they are taken as they were written.
    """

    type: str
    create: Callable[[Aws, Props], str]
    read: Callable[[Aws, str, Props], Props | None]
    delete: Change
    updates: Mapping[str, Change] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()
    unread: frozenset[str] = frozenset()
    # For a drill of drift: another value that AWS takes for a property, where a generic one would not do.
    drifts: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    # Outputs that are others after each update: not known while it is only planned.
    moving: frozenset[str] = frozenset()
    # What names it is taken as long as the old one is there.
    delete_first: bool = True
    # Properties that have a value unless the program says another.
    defaults: Mapping[str, Any] = field(default_factory=dict)
    # Properties of which nothing in a block may be there that the program does not say: AWS adds nothing to them.
    exact: frozenset[str] = frozenset()
    # Whether the emulator lacks the service, and answers of ours stand in for it.
    imitated: bool = False

    @property
    def properties(self) -> frozenset[str]:
        """All that a program may set."""
        return frozenset(self.updates) | self.fixed | {"region"}


def updates(how: Change, *names: str) -> dict[str, Change]:
    """Say that one call changes all of these."""
    return dict.fromkeys(names, how)


class BegunError(Exception):
    """A creation fails after its first call: `made` is the id of what is there already."""

    def __init__(self, made: str, reason: str) -> None:
        super().__init__(reason)
        self.made = made


@contextmanager
def begun(made: str) -> Iterator[None]:
    """Say, when AWS refuses one of the calls in here, that something is there: forgotten, it would cost for ever."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise BegunError(made, str(error)) from error


def gone(error: ClientError) -> bool:
    """Whether AWS says that there is no such thing."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return any(word in code for word in _GONE)
