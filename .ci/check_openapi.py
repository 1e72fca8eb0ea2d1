"""Write docs/openapi.json anew; `--check` only compares, and refuses what would break clients of the last release.

docs/openapi.released.json is the document of the last release. `--release` makes the present one that: a step of each
release, after its number was raised, and the only way to break a client on purpose.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT, RELEASED = ROOT / "docs/openapi.json", ROOT / "docs/openapi.released.json"

Json = dict[str, Any]

# The bounds of a parameter, and which direction refuses what was accepted.
_LOWER, _UPPER = ("minimum", "minLength", "exclusiveMinimum", "minItems"), ("maximum", "maxLength", "maxItems")


def breaking(old: Json, new: Json) -> list[str]:
    """Return what clients of the old document would stumble over in the new one, a line each."""
    return list(_Comparison(old, new).all())


class _Comparison:
    """Two documents. What goes to the API may become wider, what comes from it only narrower."""

    def __init__(self, old: Json, new: Json) -> None:
        self._old, self._new = old, new

    def all(self) -> Iterator[str]:
        for path, methods in self._old["paths"].items():
            there = self._new["paths"].get(path)
            if there is None:
                yield f"{path}: the path is gone"
                continue
            for method, operation in methods.items():
                where = f"{method.upper()} {path}"
                if method not in there:
                    yield f"{where}: the operation is gone"
                else:
                    yield from self._operation(where, operation, there[method])

    def _operation(self, where: str, old: Json, new: Json) -> Iterator[str]:
        if old.get("operationId") != new.get("operationId"):
            yield f"{where}: operationId {old.get('operationId')!r} is now {new.get('operationId')!r}"
        yield from self._parameters(where, old.get("parameters", []), new.get("parameters", []))
        yield from self._body(where, old.get("requestBody"), new.get("requestBody"))
        yield from self._security(where, old.get("security", []), new.get("security", []))
        for status, answer in old["responses"].items():
            if status not in new["responses"]:
                yield f"{where}: status {status} is gone"
                continue
            here, there = self._resolved(answer, self._old), self._resolved(new["responses"][status], self._new)
            yield from self._answer(f"{where} {status}", here, there)

    def _parameters(self, where: str, old: list[Json], new: list[Json]) -> Iterator[str]:
        before = {(each["in"], each["name"]): each for each in old}
        after = {(each["in"], each["name"]): each for each in new}
        for key, parameter in after.items():
            if parameter.get("required") and not before.get(key, {}).get("required"):
                yield f"{where}: parameter {key[1]} ({key[0]}) is now required"
        for key, parameter in before.items():
            if key not in after:
                yield f"{where}: parameter {key[1]} ({key[0]}) is gone"
            else:
                place = f"{where}: parameter {key[1]}"
                yield from self._schema(place, parameter["schema"], after[key]["schema"], sent=True)

    def _body(self, where: str, old: Json | None, new: Json | None) -> Iterator[str]:
        if new and new.get("required") and not (old and old.get("required")):
            yield f"{where}: a body is now required"
        if old:
            yield from self._content(f"{where} body", old["content"], (new or {"content": {}})["content"], sent=True)

    def _security(self, where: str, old: list[Json], new: list[Json]) -> Iterator[str]:
        # No list and an empty requirement in it both let anybody in.
        if (not old or {} in old) and new and {} not in new:
            yield f"{where}: a credential is now required"
        for each in old:
            if each and new and each not in new:
                yield f"{where}: {json.dumps(each)} is no longer enough"

    def _answer(self, where: str, old: Json, new: Json) -> Iterator[str]:
        for name in old.get("headers", {}):
            if name not in new.get("headers", {}):
                yield f"{where}: header {name} is gone"
        yield from self._content(where, old.get("content", {}), new.get("content", {}), sent=False)

    def _content(self, where: str, old: Json, new: Json, *, sent: bool) -> Iterator[str]:
        for media_type, content in old.items():
            if media_type not in new:
                yield f"{where}: {media_type} is gone"
            else:
                yield from self._schema(
                    where, content.get("schema", {}), new[media_type].get("schema", {}), sent=sent, seen=frozenset()
                )

    def _schema(
        self, where: str, old: Json, new: Json, *, sent: bool, seen: frozenset[str] = frozenset()
    ) -> Iterator[str]:
        name = old.get("$ref", "")
        if name and name in seen:
            return  # a schema that holds itself
        seen |= {name}
        old, new = self._resolved(old, self._old), self._resolved(new, self._new)
        yield from _forms(where, old, new, sent=sent)
        properties, after = old.get("properties", {}), new.get("properties", {})
        for field, schema in properties.items():
            place = f"{where}: field {field}"
            if field not in after:
                yield f"{place} is gone"
                continue
            yield from self._schema(place, schema, after[field], sent=sent, seen=seen)
        before, now = set(old.get("required", [])), set(new.get("required", []))
        yield from (f"{where}: field {field} is now required" for field in sorted(now - before if sent else ()))
        # What was always there and may be missing now.
        yield from (
            f"{where}: field {field} may be missing now"
            for field in sorted(() if sent else (before - now) & after.keys())
        )
        for inner, called in (("items", "items"), ("additionalProperties", "values")):
            if isinstance(old.get(inner), dict):
                yield from self._schema(f"{where}: {called}", old[inner], new.get(inner) or {}, sent=sent, seen=seen)

    @staticmethod
    def _resolved(part: Json, document: Json) -> Json:
        while "$ref" in part:
            found: Any = document
            for step in part["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            part = found
        return part


def _forms(where: str, old: Json, new: Json, *, sent: bool) -> Iterator[str]:
    before, after = _types(old), _types(new)
    lost = (before - after if sent else after - before) if before and after else set()
    if lost or bool(before) != bool(after):
        yield f"{where}: {_shown(before)} is now {_shown(after)}"
    if not sent:
        values = _values(new) - _values(old) if _values(old) else set()
        if values or (_values(old) and not _values(new)):
            yield f"{where}: may now be {_shown(values) if values else 'any value'}"
        return
    gone = _values(old) - _values(new) if _values(new) else set()
    if gone or (_values(new) and not _values(old)):
        yield f"{where}: may no longer be {_shown(gone) if gone else 'any value'}"
    yield from _bounds(where, _merged(old), _merged(new))


def _bounds(where: str, old: Json, new: Json) -> Iterator[str]:
    for names, narrower in ((_LOWER, 1), (_UPPER, -1)):
        for name in names:
            if name in new and (name not in old or (new[name] - old[name]) * narrower > 0):
                yield f"{where}: {name} {old.get(name, 'none')} is now {new[name]}"
    if "pattern" in new and new["pattern"] != old.get("pattern"):
        yield f"{where}: pattern {old.get('pattern', 'none')} is now {new['pattern']}"


def _kinds(schema: Json) -> list[Json]:
    """Return the alternatives of a schema, itself where it has none."""
    return [*schema.get("anyOf", []), *schema.get("oneOf", [])] or [schema]


def _types(schema: Json) -> set[str]:
    found: set[str] = set()
    for kind in _kinds(schema):
        named: Any = kind.get("type", kind.get("$ref", ()))
        found |= {named} if isinstance(named, str) else set(named)
    return found


def _values(schema: Json) -> set[str]:
    return {
        json.dumps(value)
        for kind in _kinds(schema)
        for value in kind.get("enum", [kind["const"]] if "const" in kind else [])
    }


def _merged(schema: Json) -> Json:
    """Return the bounds of the one alternative that is not null."""
    return schema | next((kind for kind in _kinds(schema) if kind.get("type") != "null"), {})


def _shown(values: set[str]) -> str:
    return " or ".join(sorted(values)) or "anything"


def generated() -> str:
    """Return the document that the code gives; nothing is connected to."""
    from indexer.api.app import create_app  # noqa: PLC0415 - comparing two files needs no service
    from indexer.settings import Settings  # noqa: PLC0415 - the same

    api = create_app(Settings(_env_file=None, DATABASE_URL="postgresql://localhost/none"))
    return json.dumps(api.routes.openapi(), indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Write or compare; exit code 1 where the committed document is stale or would break a client."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed files, change nothing")
    parser.add_argument("--release", action="store_true", help="make the present document the released one")
    arguments = parser.parse_args()
    text = generated()
    if arguments.check and (not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != text):
        sys.stderr.write("docs/openapi.json is not what the code gives; run: .venv/bin/python .ci/check_openapi.py\n")
        return 1
    if not arguments.check:
        DOCUMENT.write_text(text, encoding="utf-8")
    if arguments.release:
        RELEASED.write_text(text, encoding="utf-8")
        return 0
    found = breaking(json.loads(RELEASED.read_text(encoding="utf-8")), json.loads(text))
    for line in found:
        sys.stderr.write(f"breaks clients of the last release: {line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
