from __future__ import annotations

import json
import sys

from indexer.protocol.hashing import balance_row
from indexer.protocol.model import BalanceKey

SURROGATES = range(0xD800, 0xE000)


def test_rows_are_the_json_that_the_rules_name_for_every_character() -> None:
    for first in range(0, sys.maxunicode + 1, 0x1000):
        text = "".join(chr(code) for code in range(first, first + 0x1000) if code not in SURROGATES)
        row = balance_row(BalanceKey(text, "a"), 150_000_000)
        expected = json.dumps(["balances", text, "a", "1.50000000"], ensure_ascii=False, separators=(",", ":"))
        assert row == expected.encode()
