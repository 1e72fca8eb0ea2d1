from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.prove.backups.site import Site, site

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def here() -> Iterator[Site]:
    """A live envelope with a key and a backup, whose tests leave it as live as they found it."""
    with site("--rate", "3") as made:
        made.reaches(made.environment.start_height + 10, within=60)
        made.key("of-the-fixture")
        made.done("backup", "create")
        made.reaches(made.tip() + 10, within=60)
        yield made
