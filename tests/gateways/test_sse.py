"""Event streams, as endpoints send them that mean no good."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from ingram_app.gateways.providers import sse


async def endless(piece: bytes) -> AsyncIterator[bytes]:
    while True:
        yield piece


async def read_on(pieces: AsyncIterator[bytes]) -> None:
    async for _ in sse.payloads(pieces):
        pass


async def test_a_line_without_end_is_not_waited_for() -> None:
    with pytest.raises(httpx2.RemoteProtocolError, match="more than any answer"):
        await read_on(endless(b"x" * 65536))


async def test_an_answer_without_end_is_not_either() -> None:
    with pytest.raises(httpx2.RemoteProtocolError, match="more than any answer"):
        await read_on(endless(b"data: " + b"x" * 1_000_000 + b"\n"))


async def test_lines_are_put_together_from_pieces() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"data: {", b'"a"', b": 1}\n", b": a comment\ndata: [DONE]\n"):
            yield piece

    assert [payload async for came in sse.payloads(pieces()) for payload in came] == [b'{"a": 1}', b"[DONE]"]
