"""A picture of a stack's resource graph: a box for each tier with what it makes, an arrow for each dependency."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from infra.cloud.rehearsal.state import Resource

WIDTH, LINE, GAP, MARGIN, HEAD = 250, 16, 40, 20, 26
_TIER = "simplicity:tier:"


@dataclass(frozen=True)
class Box:
    """A tier: its name, how many of each type it makes, and the tiers that it needs."""

    name: str
    made: tuple[tuple[str, int], ...]
    needs: frozenset[str]

    @property
    def height(self) -> int:
        """How tall it is, in pixels."""
        return HEAD + LINE * len(self.made) + 8


def boxes(resources: Iterable[Resource]) -> list[Box]:
    """Return a stack's tiers, those that others need first; a tier within a tier belongs to the outer one."""
    resources = list(resources)
    tier_of = {each.urn: _tier(each) for each in resources}
    made: dict[str, Counter[str]] = {}
    needs: dict[str, set[str]] = {}
    for each in resources:
        tier = tier_of[each.urn]
        if not each.managed or tier is None:
            continue
        made.setdefault(tier, Counter())[each.type.rpartition(":")[2]] += 1
        others = {tier_of.get(urn) for urn in each.dependencies} - {tier, None}
        needs.setdefault(tier, set()).update(other for other in others if other is not None)
    return [Box(tier, tuple(sorted(made[tier].items())), frozenset(needs[tier] & set(made))) for tier in made]


def layers(given: Iterable[Box]) -> list[list[Box]]:
    """Return boxes by how far they are from what needs nothing."""
    by_name = {box.name: box for box in given}
    depth: dict[str, int] = {}

    def deep(name: str, above: frozenset[str]) -> int:
        if name not in depth:
            # Two tiers may need each other: one step back is enough for a picture.
            below = [deep(other, above | {name}) for other in sorted(by_name[name].needs) if other not in above]
            depth[name] = 1 + max(below, default=-1)
        return depth[name]

    for name in by_name:
        deep(name, frozenset())
    return [[box for box in by_name.values() if depth[box.name] == level] for level in range(max(depth.values()) + 1)]


def svg(title: str, resources: Iterable[Resource]) -> str:
    """Return the picture."""
    rows = layers(boxes(resources))
    place: dict[str, tuple[int, int]] = {}
    x, tallest = MARGIN, 0
    for row in rows:
        y = MARGIN + 30
        for box in row:
            place[box.name] = (x, y)
            y += box.height + GAP // 2
        tallest = max(tallest, y)
        x += WIDTH + GAP
    shapes = [*_arrows(rows, place), *(shape for row in rows for box in row for shape in _drawn(box, place))]
    width, height = x - GAP + MARGIN, tallest + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
            "<style>text { font-size: 12px } .title { font-size: 16px; font-weight: bold } .tier { font-weight: bold }",
            "path { fill: none; stroke: #8a94a6 }</style>",
            '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="3" orient="auto">',
            '<polygon points="0,0 7,3 0,6" fill="#8a94a6"/></marker></defs>',
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            f'<text x="{MARGIN}" y="{MARGIN + 8}" class="title">{escape(title)}</text>',
            *shapes,
            "</svg>\n",
        ]
    )


def _drawn(box: Box, place: Mapping[str, tuple[int, int]]) -> list[str]:
    x, y = place[box.name]
    total = sum(count for _, count in box.made)
    lines = [
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{box.height}" rx="6" fill="#f4f6fa" stroke="#46536b"/>',
        f'<text x="{x + 10}" y="{y + 18}" class="tier">{escape(box.name)} · {total}</text>',
    ]
    for n, (kind, count) in enumerate(box.made):
        text = f"{count} {kind}"
        lines.append(f'<text x="{x + 10}" y="{y + HEAD + 12 + LINE * n}" fill="#30394a">{escape(text)}</text>')
    return lines


def _arrows(rows: list[list[Box]], place: Mapping[str, tuple[int, int]]) -> list[str]:
    lines = []
    for row in rows:
        for box in row:
            x, y = place[box.name]
            for other in sorted(box.needs):
                from_x, from_y = place[other]
                start, end = (from_x + WIDTH, from_y + HEAD // 2), (x, y + HEAD // 2)
                bend = max(GAP, (end[0] - start[0]) // 2)
                lines.append(
                    f'<path d="M{start[0]},{start[1]} C{start[0] + bend},{start[1]} {end[0] - bend},{end[1]} '
                    f'{end[0]},{end[1]}" marker-end="url(#tip)"/>'
                )
    return lines


def _tier(resource: Resource) -> str | None:
    """Return the outermost tier that a resource lies in, from the types of its URN."""
    types = resource.urn.split("::")[2].split("$")
    return next((each.removeprefix(_TIER) for each in types if each.startswith(_TIER)), None)
