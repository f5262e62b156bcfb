"""Server-sent events, as far as model providers use them: the payload of each `data:` line."""

from collections.abc import AsyncIterator

import httpx2

LINE_BYTES = 4 * 1024 * 1024
ANSWER_BYTES = 256 * 1024 * 1024
"""More than any model says; an endpoint that a tenant has named may go on for ever."""


async def payloads(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """Yield what follows `data:` on each line, together what came together.

    Comments, event names and an unfinished last line are left out.

    Lines end at line feeds only: JSON may hold other separators, which `splitlines` would cut at.
    Raises `RemoteProtocolError` for a line, or an answer, without end.
    """
    rest, read = b"", 0
    async for chunk in chunks:
        read += len(chunk)
        if read > ANSWER_BYTES or len(rest) > LINE_BYTES:
            raise httpx2.RemoteProtocolError("it sends more than any answer is long")
        *lines, rest = (rest + chunk).split(b"\n")
        if came := [line[5:].strip() for line in lines if line.startswith(b"data:")]:
            yield came
    if rest.startswith(b"data:") and rest.rstrip().endswith((b"}", b"]")):
        yield [rest[5:].strip()]
