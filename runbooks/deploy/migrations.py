"""Migrations that let two releases run on one schema: an expand adds, a contract takes away what nobody needs any more.

What a release needs, the one before it must not miss: while both colours run, and after a roll back, the older program
works on the newer schema. So an expand revision may neither drop, rename, narrow nor change anything.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from runbooks.deploy.errors import DeployError
from runbooks.deploy.manifest import Manifest, Revision, versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FOLDER = Path("indexer/store/migrations/versions")
SERVER = "17"
SECONDS = 60
_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_BODIES = re.compile(r"(\$[A-Za-z_]*\$).*?\1", re.DOTALL)
_TEXTS = re.compile(r"'(?:[^']|'')*'")
# What the release before may still use, by the words that take it away or change it.
_BREAKS = {
    "drops": re.compile(r"\bDROP\s+(?!INDEX\b|NOT\s+NULL\b|DEFAULT\b)", re.IGNORECASE),
    "renames": re.compile(r"\bRENAME\b", re.IGNORECASE),
    "changes the type of a column": re.compile(
        r"\bALTER\s+(?:COLUMN\s+)?\S+\s+(?:SET\s+DATA\s+)?TYPE\b", re.IGNORECASE
    ),
    "forbids NULL": re.compile(r"\bSET\s+NOT\s+NULL\b", re.IGNORECASE),
    "takes rights away": re.compile(r"\bREVOKE\b", re.IGNORECASE),
    "deletes rows": re.compile(r"\b(?:TRUNCATE(?!\s+ON\b)|DELETE\s+FROM)\b", re.IGNORECASE),
}
_ADDS_REQUIRED = re.compile(
    r"\bADD\s+(?:COLUMN\s+)?(?:IF\s+NOT\s+EXISTS\s+)?[^;,]*?\bNOT\s+NULL\b[^;,]*", re.IGNORECASE
)
_CHANGES_ROWS = re.compile(r"(?:^|;)\s*UPDATE\b", re.IGNORECASE)
_ALTERS = re.compile(r"\b(?:ALTER\s+TABLE|CREATE\s+(?:UNIQUE\s+)?INDEX)\b", re.IGNORECASE)
_LOCK_TIMEOUT = re.compile(r"\bSET\s+(?:LOCAL\s+)?lock_timeout\b", re.IGNORECASE)
# Matters of taste, and what a transaction of alembic's has to be told by its own means.
_NO_MATTER = ("prefer-bigint-over-int", "prefer-text-field", "prefer-identity", "prefer-robust-stmts",
              "prefer-timestamp-tz", "require-statement-timeout", "require-lock-timeout",
              "require-timeout-settings", "prefer-bigint-over-smallint")  # fmt: skip


def revisions(tree: Path) -> tuple[Revision, ...]:
    """Return the migrations of a source tree in the order in which they are applied. Raises DeployError.

    Nothing is imported: a program that is to be judged is not run for it.
    """
    found = {each[0]: each for each in (_read(path) for path in sorted((tree / FOLDER).glob("*.py"))) if each}
    by_parent = {parent: (name, revision) for name, parent, revision in found.values()}
    ordered, at = [], None
    while at in by_parent:
        at, revision = by_parent.pop(at)
        ordered.append(revision)
    if by_parent:
        raise DeployError(f"{FOLDER}: {next(iter(by_parent.values()))[0]} does not follow the others in one line")
    return tuple(ordered)


def _read(path: Path) -> tuple[str, str | None, Revision] | None:
    values = _constants(ast.parse(path.read_text("utf-8")))
    if path.name.startswith("__"):
        return None
    sql = path.with_suffix(".sql")
    content = sha256(path.read_bytes() + (sql.read_bytes() if sql.exists() else b"")).hexdigest()
    kind = values.get("kind")
    if kind not in {"expand", "contract"}:
        raise DeployError(f'{path.name}: does not say its kind; write kind = "expand", or "contract" with after')
    if kind == "contract" and not isinstance(values.get("after"), str):
        raise DeployError(f'{path.name}: a contract names the version that stopped needing it: after = "0.2.0"')
    try:
        made = Revision(revision=values["revision"], kind=kind, after=values.get("after"), sha256=content)
    except (ValidationError, KeyError):
        raise DeployError(f"{path.name}: has no usable `revision`") from None
    return made.revision, values.get("down_revision"), made


def _constants(module: ast.Module) -> dict[str, Any]:
    return {
        target.id: node.value.value
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def problems_of(tree: Path, which: Iterable[Revision]) -> list[str]:
    """Return what expand revisions do that the release before would miss, or that holds others up, a line each."""
    wanted = {each.revision for each in which if each.kind == "expand"}
    found: list[str] = []
    for path in sorted((tree / FOLDER).glob("*.py")):
        if _constants(ast.parse(path.read_text("utf-8"))).get("revision") not in wanted:
            continue
        found += [f"{path.name}: {problem}" for problem in problems_of_program(path.read_text("utf-8"))]
        sql = path.with_suffix(".sql")
        if sql.exists():
            found += [f"{sql.name}: {problem}" for problem in (*problems_of_sql(sql.read_text("utf-8")), *_linted(sql))]
    return found


def problems_of_sql(text: str) -> list[str]:
    """Return why a text of SQL is no expand: what it takes away, changes, or locks."""
    bare = _TEXTS.sub("''", _COMMENTS.sub(" ", _BODIES.sub("''", text)))
    found = [
        f"an expand that {what}: {_around(bare, match)}"
        for what, form in _BREAKS.items()
        for match in form.finditer(bare)
    ]
    found += [
        f"an expand that adds a column which the release before does not fill: {' '.join(match[0].split())[:80]}"
        for match in _ADDS_REQUIRED.finditer(bare)
        if not re.search(r"\bDEFAULT\b", match[0], re.IGNORECASE)
    ]
    if _CHANGES_ROWS.search(bare):
        found.append("changes rows in one transaction; use indexer.store.gradually.in_batches in upgrade()")
    altered = re.findall(r"\bALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?([\w.]+)", bare, re.IGNORECASE)
    made = set(re.findall(r"\bCREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?([\w.]+)", bare, re.IGNORECASE))
    if _ALTERS.search(bare) and set(altered) - made and not _LOCK_TIMEOUT.search(bare):
        found.append("locks a table that is in use: begin with SET LOCAL lock_timeout = '2s'")
    return found


def problems_of_program(text: str) -> list[str]:
    """Return why the program of an expand cannot be judged: its changes stand in its .sql file, or go in batches."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    names = {
        node.func.attr
        for node in calls
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name) and node.func.value.id == "op"
    }
    found = [
        f"op.{name}: write it as SQL in the .sql file, where it can be judged" for name in sorted(names - {"execute"})
    ]
    for node in calls:
        is_execute = isinstance(node.func, ast.Attribute) and node.func.attr == "execute"
        if is_execute and any(isinstance(word, ast.Constant | ast.JoinedStr) for word in node.args):
            found.append("op.execute of a text: write it in the .sql file, where it can be judged")
    return found


def _around(text: str, match: re.Match[str]) -> str:
    end = text.find(";", match.start())
    return " ".join(text[match.start() : end if end >= 0 else None].split())[:80]


def _linted(sql: Path) -> list[str]:
    """Return what squawk finds of locks and breaks that its file does not allow with a reason."""
    squawk = Path(sys.executable).with_name("squawk")
    program = str(squawk) if squawk.exists() else shutil.which("squawk")
    if program is None:
        raise DeployError("squawk judges migrations and is not installed here; install the group dev: make test")
    command = [program, "--reporter=json", "--assume-in-transaction", f"--pg-version={SERVER}"]
    command += [word for rule in _NO_MATTER for word in ("--exclude", rule)]
    try:
        done = subprocess.run([*command, str(sql)], check=False, capture_output=True, text=True, timeout=SECONDS)
        found = json.loads(done.stdout or "[]")
    except (subprocess.TimeoutExpired, OSError, ValueError) as error:
        raise DeployError(f"squawk cannot judge {sql.name} ({type(error).__name__})") from None
    return [f"line {each['line'] + 1}: {each['message']} ({each['rule_name']})" for each in found]


def refusals(live: Manifest | None, new: Manifest) -> list[str]:
    """Return why a release must not follow the one that is live: by its migrations, a line each."""
    if live is None:
        return []
    found = []
    for number, old in enumerate(live.revisions):
        if number >= len(new.revisions) or new.revisions[number].revision != old.revision:
            return [f"it lacks the migration {old.revision}, which {live.id} has applied: build it from a later commit"]
        if new.revisions[number].sha256 != old.sha256:
            found.append(
                f"its migration {old.revision} is another one than {live.id} has applied: write a new one instead"
            )
    return [*found, *_contracts(live, new.revisions[len(live.revisions) :])]


def _contracts(live: Manifest, pending: Sequence[Revision]) -> list[str]:
    return [
        f"{each.revision} takes away what {live.id} may still use: only version {each.after} stopped needing it,"
        f" and that has to be live first"
        for each in pending
        if each.kind == "contract" and (each.after is None or versions(live.version) < versions(each.after))
    ]


def keeps_from_going_back(live: Manifest, previous: Manifest) -> list[str]:
    """Return why the previous release cannot run on the schema of the one that is live, a line each."""
    known = {each.revision for each in previous.revisions}
    return [
        f"{each.revision} took away what {previous.id} may use: build a release that goes forward"
        for each in live.revisions
        if each.kind == "contract"
        and each.revision not in known
        and (each.after is None or versions(previous.version) < versions(each.after))
    ]
