from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.canned import Canned, canned

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[Canned]:
    with canned() as running:
        yield running
