"""A repository spoilt in every way that we could think of: what reads it refuses, in one clear line."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.progress import Progress
from tests.runbooks.backup.damaging import DAMAGES, Scene, refusals

if TYPE_CHECKING:
    from tests.prove.backups.figures import Figures
    from tests.prove.backups.site import Site


def prove(figures: Figures, here: Site) -> None:
    """Damage copies of an environment's repository, whose second backup builds on the first."""
    refused = 0
    let_in: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="simplicity-damage-") as folder,
        Progress("damaging backups", len(DAMAGES)) as progress,
    ):
        for number, (name, damage) in enumerate(DAMAGES.items()):
            scene = _copy(here, Path(folder) / str(number))
            expected = damage(scene)
            found = refusals(scene, Path(folder) / str(number) / "restored")
            if found.keys() == expected.by and all(expected.words in str(error) for error in found.values()):
                refused += 1
            else:
                let_in.append(name)
            shutil.rmtree(Path(folder) / str(number))
            progress.at(number)
    figures.count("damaged and forged backups and WAL, refused with one clear line", refused, len(DAMAGES))
    if let_in:
        figures.add("not refused, or by other words", ", ".join(let_in), "none", holds=False)


def _copy(here: Site, folder: Path) -> Scene:
    place = here.backups
    shutil.copytree(here.home / "backups", folder / "repository")
    shutil.copytree(place.keys, folder / "keys")
    (cluster,) = (folder / "repository" / "clusters").iterdir()
    backups = sorted(path.name for path in (cluster / "backups").iterdir())
    building = next(name for name in backups if "-incremental-" in name)
    return Scene(folder / "repository", folder / "keys", cluster.name, building)
