"""HTML and SVG as text, in which whatever is put in is escaped: labels and messages are other people's."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

VOID: Final = frozenset({"br", "hr", "img", "link", "meta"})


class Markup(str):
    """Text that is markup already, and goes in as it is."""

    __slots__ = ()


Content: TypeAlias = "str | Markup | Iterable[str | Markup | None] | None"


def element(name: str, /, *content: Content, **attributes: str | float | bool | None) -> Markup:
    """Return an element. An attribute's `_` is a hyphen, one at its end (`class_`) is left out; None and False: absent.

    Of `content`, plain text is escaped and Markup is not. Attributes never hold scripts or styles: the policy of the
    pages refuses them.
    """
    written = "".join(_attribute(*each) for each in attributes.items() if each[1] is not None and each[1] is not False)
    opened = f"<{name}{written}>"
    return Markup(opened if name in VOID else f"{opened}{joined(*content)}</{name}>")


def joined(*content: Content) -> Markup:
    """Return content one after the other, escaped where it is no markup."""
    return Markup("".join(_text(part) for part in content))


def style_hash(text: str) -> str:
    """Return how a Content-Security-Policy names an inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f' {name}="{escape(text, quote=True)}"'


def _text(part: Content) -> str:
    if part is None:
        return ""
    if isinstance(part, Markup):
        return part
    return escape(part, quote=False) if isinstance(part, str) else "".join(_text(each) for each in part)
