from __future__ import annotations

import pytest

from tests.bench.api.wire import HEAD_MAX, Splitter, UnreadableError, request

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n"


def test_an_answer_ends_where_its_length_says_however_it_is_cut() -> None:
    for size in range(1, len(HEAD) + 5):
        splitter = Splitter()
        splitter.keep = True
        answer = HEAD + b"true"
        pieces = [answer[at : at + size] for at in range(0, len(answer), size)]
        assert [splitter.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        assert (splitter.status, splitter.size, b"".join(splitter.parts)) == (200, 4, b"true")


def test_answers_follow_one_another_on_a_connection() -> None:
    splitter = Splitter()
    assert splitter.feed(HEAD + b"true")
    assert splitter.feed(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n")
    assert (splitter.status, splitter.size) == (304, 0)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 two OK\r\nContent-Length: 1\r\n\r\n",
        HEAD + b"true and more",
        b"x" * (HEAD_MAX + 1),
    ],
)
def test_what_is_no_answer_of_this_form_is_refused(answer: bytes) -> None:
    with pytest.raises(UnreadableError):
        Splitter().feed(answer)


def test_a_stale_answer_is_known_by_its_headers_with_its_age() -> None:
    splitter = Splitter()
    splitter.feed(HEAD + b"true")
    assert (splitter.is_stale(), splitter.age(), splitter.has_retry_after()) == (False, 0, False)
    stale = b'HTTP/1.1 200 OK\r\nAge: 17\r\nWarning: 110 - "Response is Stale"\r\nContent-Length: 0\r\n\r\n'
    splitter.feed(stale)
    assert (splitter.is_stale(), splitter.age()) == (True, 17)
    splitter.feed(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n")
    assert (splitter.status, splitter.has_retry_after()) == (503, True)


def test_a_request_carries_a_key_only_where_there_is_one() -> None:
    assert request("/a", "h:1", None) == b"GET /a HTTP/1.1\r\nHost: h:1\r\n\r\n"
    assert request("/a", "h:1", "sk_1") == b"GET /a HTTP/1.1\r\nHost: h:1\r\nX-API-Key: sk_1\r\n\r\n"
