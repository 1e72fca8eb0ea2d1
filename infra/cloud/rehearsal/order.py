"""In which order resources can go: none before those that depend on it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from infra.cloud.rehearsal.values import UNKNOWN

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Iterator

    from infra.cloud.rehearsal.state import Resource


def endings(those: Iterable[Resource], seed: random.Random) -> Iterator[Resource]:
    """Yield resources in a random order in which each comes after all that depend on it, or lie in it.

    Pulumi's engine deletes several at a time in whatever order their dependencies leave open: what goes well only
    because it was created in a certain order, breaks there.
    """
    left = list(those)
    while left:
        needed = {urn for each in left for urn in (*each.dependencies, each.parent)}
        free = [n for n, each in enumerate(left) if each.urn not in needed] or range(len(left))
        yield left.pop(seed.choice(free))


def doomed(
    there: Resource, others: Iterable[Resource], replaces: Callable[[Resource, Resource], bool]
) -> list[Resource]:
    """Return what has to be replaced with a resource, since what is made of it cannot be changed in place.

    `replaces` says of a resource as it is and as it is wanted whether that takes a replacement.
    """
    gone, those = {there.urn}, list(others)
    found: list[Resource] = []
    while True:
        fresh = [each for each in those if each.urn not in gone and _hangs(each, gone, replaces)]
        if not fresh:
            return found
        gone |= {each.urn for each in fresh}
        found += fresh


def _hangs(each: Resource, gone: set[str], replaces: Callable[[Resource, Resource], bool]) -> bool:
    touched = [name for name, urns in each.made_of.items() if gone.intersection(urns)]
    wanted = replace(each, inputs={**each.inputs, **dict.fromkeys(touched, UNKNOWN)})
    return bool(touched) and replaces(each, wanted)
