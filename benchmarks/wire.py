"""The least HTTP client that can measure a server: it must cost less than what it measures."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Timed:
    """One answer, and how long it took."""

    status: int
    body: bytes
    seconds: float
    first_seconds: float
    """Until the first of its words."""


class Target:
    """Where to send a request, and what."""

    def __init__(self, url: str, path: str, body: dict[str, Any], *, token: str = "", word: bytes = b"") -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self.word = word
        """What stands in the first piece of the answer that carries one of its words."""
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\n"
        self.request = (
            f"{head}authorization: Bearer {token}\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content
        )


class Connection:
    """One kept-alive connection; one request at a time."""

    def __init__(self) -> None:
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, target: Target) -> Timed:
        """Send the request and read the whole answer."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(target.host, target.port)
        began = time.perf_counter()
        self._writer.write(target.request)
        status, headers = await self._head()
        body, first = bytearray(), 0.0
        async for piece in self._pieces(headers):
            body += piece
            if not first and target.word in piece:
                first = time.perf_counter() - began
        return Timed(status, bytes(body), time.perf_counter() - began, first)

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    async def _head(self) -> tuple[int, dict[str, str]]:
        assert self._reader is not None
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        return int(lines[0].split(" ")[1]), headers

    async def _pieces(self, headers: dict[str, str]) -> Any:
        assert self._reader is not None
        if "content-length" in headers:
            yield await self._reader.readexactly(int(headers["content-length"]))
            return
        while size := int(await self._reader.readline(), 16):
            yield await self._reader.readexactly(size)
            await self._reader.readline()
        await self._reader.readline()


async def times(target: Target, requests: int, *, at_once: int = 1) -> list[Timed]:
    """Send so many requests, `at_once` under way at any moment, and return their answers."""
    left = iter(range(requests))
    answers: list[Timed] = []

    async def one_after_another() -> None:
        connection = Connection()
        for _ in left:
            answer = await connection.ask(target)
            assert answer.status == 200, answer.body
            answers.append(answer)
        await connection.close()

    await asyncio.gather(*(one_after_another() for _ in range(at_once)))
    return answers
