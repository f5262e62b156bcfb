"""Server-sent events, as far as model providers use them: the payload of each `data:` line."""

from collections.abc import AsyncIterator


async def payloads(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what follows `data:` on each line. Comments, event names and an unfinished last line are left out.

    Lines end at line feeds only: JSON may hold other separators, which `splitlines` would cut at.
    """
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()
    if rest.startswith(b"data:") and rest.rstrip().endswith((b"}", b"]")):
        yield rest[5:].strip()
