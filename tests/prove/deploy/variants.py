"""Releases to deploy: this source tree, and what may become of it, each a commit that is built like any other."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.prove.backups.figures import Figures
    from tests.prove.deploy.site import Site

ROOT = Path(__file__).resolve().parents[3]
VERSIONS = Path("indexer/store/migrations/versions")
ANSWER, OTHER_ANSWER = "Universal BRC-20 indexer", "Universal BRC-20 indexer, the next one"
PYTHON = '''"""{title}."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "{revision}"
down_revision = "{before}"
kind = "expand"


def upgrade() -> None:
    """Carry it out."""
    op.execute(Path(__file__).with_suffix(".sql").read_text("utf-8"))
'''
BATCHES = '''"""Fills the column of 0004."""

from __future__ import annotations

from alembic import op

from indexer.store.gradually import in_batches

revision = "0005"
down_revision = "0004"
kind = "expand"


def upgrade() -> None:
    """Fill it in batches: nobody waits for longer than one of them."""
    in_batches(
        op,
        "UPDATE ops.orphaned_blocks SET depth = height - fork_height WHERE hash IN"
        " (SELECT hash FROM ops.orphaned_blocks WHERE depth IS NULL LIMIT :size)",
    )
'''


@dataclass(frozen=True, slots=True)
class Variants:
    """Where the source trees lie; each is built once, and named by its release from then on."""

    site: Site
    folder: Path
    quick: bool = False  # fewer faults, shorter watches, fewer requests

    @property
    def rate(self) -> int:
        """How many requests a second clients make; a busy machine has no time for all of them."""
        return 60 if self.quick else 200

    def timed(self, figures: Figures, what: str, seen: str, wanted: str, *, holds: bool) -> None:
        """Note a time: the whole proof holds it against its target; a gate that shares its machine prints it only."""
        figures.add(what, seen, f"{wanted} (printed only)" if self.quick else wanted, holds=holds or self.quick)

    def build(self, name: str, *changes: Callable[[Path], None], after: str = "HEAD") -> str:
        """Commit the changes on top of this tree, or of another variant, build that, and return the release's id."""
        tree = self.folder / name
        source = ROOT if after == "HEAD" else self.folder / after
        _git(self.folder, "clone", "--quiet", str(source), str(tree))
        for change in changes:
            change(tree)
        if changes:
            who = ("-c", "user.name=proof", "-c", "user.email=proof@example.com")
            _git(tree, "add", "--all")
            _git(tree, *who, "commit", "--quiet", "--message", name)
        said = self.site.done("deploy", "build", f"--repository={tree}", within=600)
        self.site.done("deploy", "attest", "tests=passed", "scans=passed", f"--repository={tree}")
        return str(said["id"])


def answers_otherwise(tree: Path) -> None:
    """What clients see of a release: `GET /` says something else."""
    _replace(tree / "indexer/api/routes/meta.py", f'"message": "{ANSWER}"', f'"message": "{OTHER_ANSWER}"')


def says_nothing_new(tree: Path) -> None:
    """Another release all the same."""
    readme = tree / "README.md"
    readme.write_text(readme.read_text(encoding="utf-8") + "\nA release more.\n", encoding="utf-8")


def migrates_a_large_table(tree: Path) -> None:
    """A column, and then its value in every row."""
    add = "SET LOCAL lock_timeout = '2s';\nALTER TABLE ops.orphaned_blocks ADD COLUMN depth integer;\n"
    _migration(tree, "0004", "0003", "How deep a reorg was", add)
    (tree / VERSIONS / "0005_depth_filled.py").write_text(BATCHES, encoding="utf-8")
    _replace(tree / "infra/environment.py", 'SCHEMA_VERSION = "0003"', 'SCHEMA_VERSION = "0005"')


def is_never_ready(tree: Path) -> None:
    """Its health check fails, whatever it is asked."""
    _replace(
        tree / "indexer/api/routes/meta.py",
        "health.readiness(health.not_ready(request.app.state.serving()))",
        'health.readiness(("this release is never ready",))',
    )


def is_slow(tree: Path) -> None:
    """Right answers, too late: only the watch can see that."""
    _replace(
        tree / "indexer/api/routes/brc20.py",
        "from fastapi import",
        "import asyncio\n\nfrom fastapi import",
    )
    path = tree / "indexer/api/routes/brc20.py"
    text = path.read_text(encoding="utf-8")
    marker = '@router.get("/brc20/list"'
    head, found, tail = text.partition(marker)
    assert found, "the list of tickers has another route now"
    begin = tail.index('"""')
    end = tail.index('"""', begin + 3) + 3
    path.write_text(f"{head}{marker}{tail[:end]}\n    await asyncio.sleep(0.4)\n{tail[end:]}", encoding="utf-8")


def cannot_migrate(tree: Path) -> None:
    """A migration, after those of the large table, that the database refuses after half of its work."""
    sql = "CREATE TABLE ops.half_done (id bigint PRIMARY KEY);\nSELECT 1 / 0;\n"
    _migration(tree, "0006", "0005", "A migration that fails", sql)
    _replace(tree / "infra/environment.py", 'SCHEMA_VERSION = "0005"', 'SCHEMA_VERSION = "0006"')


def _migration(tree: Path, revision: str, before: str, title: str, sql: str) -> None:
    path = tree / VERSIONS / f"{revision}_{title.lower().replace(' ', '_')}.py"
    path.write_text(PYTHON.format(title=title, revision=revision, before=before), encoding="utf-8")
    path.with_suffix(".sql").write_text(f"-- {title}.\n\n{sql}", encoding="utf-8")


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path.name}: {old!r} is not there once"
    path.write_text(text.replace(old, new), encoding="utf-8")


def _git(folder: Path, *words: str) -> None:
    command = [shutil.which("git") or "git", "-C", str(folder), *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
