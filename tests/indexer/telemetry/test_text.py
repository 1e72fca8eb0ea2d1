from __future__ import annotations

import pytest

from indexer.telemetry.text import clean


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("no such route", "no such route"),
        ("zażółć 你好", "zażółć 你好"),
        ('a\n{"level":"ERROR"}', 'a\\n{"level":"ERROR"}'),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("line\u2028separator", "line\\u2028separator"),
        ("half \ud800", "half \\ud800"),
        ("NUL \x00", "NUL \\x00"),
    ],
)
def test_what_does_not_print_is_escaped_and_the_rest_is_kept(given: str, kept: str) -> None:
    assert clean(given) == kept


@pytest.mark.parametrize(
    "given",
    [
        "Authorization: Bearer hunter2",
        "authorization: basic hunter2",
        "X-API-Key: hunter2",
        "/v1?api_key=hunter2&limit=1",
        "?access_token=hunter2",
        "sk_0123456789ab_hunter2",
        "postgresql://user:hunter2@host:5432/brc20",
        "eyJhbGciOiJFUzI1NiJ9.hunter2.hunter2",
        "Bearer sk_0123456789ab_hunter2",
    ],
)
def test_credentials_are_left_out(given: str) -> None:
    assert "hunter2" not in clean(given)
    assert "[secret]" in clean(given)


def test_the_id_of_a_key_stays_readable() -> None:
    assert clean("sk_0123456789ab_secret is revoked") == "sk_0123456789ab_[secret] is revoked"


@pytest.mark.parametrize("sign", ["a", "\n", "\U0001f600", "\ud800"])
def test_no_text_becomes_longer_than_its_limit(sign: str) -> None:
    assert len(clean(sign * 100_000, 50)) == 50
