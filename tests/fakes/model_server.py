"""A stand-in for every model provider, over real HTTP: thousands of streamed answers a second.

python -m tests.fakes.model_server --port 9400 --tokens 20 --delay-ms 5

POST …/chat/completions                     OpenAI's wire
POST …/messages                             Anthropic's
POST …/models/<model>:streamGenerateContent Google's
POST …/embeddings                           OpenAI's, of 8 numbers each
GET  /_seen                                 {"requests": 3, "connections": 1, "last": {path, headers, body}}
POST /_forget                               starts the count again

What it answers is told by the request itself: see `tests.fakes.knobs`.
"""

import argparse
import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from email.utils import formatdate
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

import uvloop

from tests.fakes.http import Connection, Reply, Request
from tests.fakes.knobs import Knobs, knobs_of
from tests.fakes.wires import ChatCompletions, GenerateContent, Messages, Wire

_GEMINI = re.compile(r"/models/([^/?]+):(?:streamG|g)enerateContent")


class ModelServer:
    """Answers requests and remembers how many there were, and the last."""

    def __init__(self, default: Knobs) -> None:
        self._default = default
        self.requests = 0
        self.connections = 0
        self.last: Request | None = None
        self.then: list[Knobs] = []
        """How the next requests are answered, whatever they ask for themselves."""
        self._came: Counter[bytes] = Counter()
        """How often each request that is to go wrong so many times has come."""

    def connect(self) -> Connection:
        self.connections += 1
        return Connection(self.handle)

    async def handle(self, request: Request, reply: Reply) -> None:
        match request.method, request.path:
            case "GET", "/_seen":
                reply.json(self._seen())
            case "POST", "/_forget":
                self.requests, self.last = 0, None
                self._came.clear()
                reply.json({})
            case "POST", path if path.endswith("/embeddings"):
                self.requests, self.last = self.requests + 1, request
                _embed(request, reply)
            case "POST", _ if (dialect := _dialect(request)) is not None:
                self.requests, self.last = self.requests + 1, request
                await self._answer(request, reply, *dialect)
            case _:
                reply.json({"error": {"message": f"no {request.method} {request.path} here"}}, 404)

    def _seen(self) -> dict[str, Any]:
        last = self.last
        told = last and {"path": last.path, "headers": last.headers, "body": last.json()}
        return {"requests": self.requests, "connections": self.connections, "last": told}

    async def _answer(self, request: Request, reply: Reply, kind: type[Wire], model: str) -> None:
        body = request.json()
        knobs = knobs_of(model, body.get("messages") or body.get("contents") or [], self._default)
        if self.then:
            knobs = self.then.pop(0)
        elif knobs.times is not None:
            self._came[request.body] += 1
            knobs = knobs.grown_well() if self._came[request.body] > knobs.times else knobs
        if knobs.first_seconds:
            await asyncio.sleep(knobs.first_seconds)
        if knobs.fail:
            return reply.json(kind.refusal(knobs.fail), knobs.fail, _waiting(knobs.wait))
        reply.begin_stream()
        await _stream(reply, kind(model, knobs, prompt_tokens=len(request.body) // 4), knobs)


def _embed(request: Request, reply: Reply) -> None:
    body = request.json()
    knobs = knobs_of(body["model"], [], Knobs())
    if knobs.fail:
        return reply.json(ChatCompletions.refusal(knobs.fail), knobs.fail)
    texts = [] if knobs.empty else body["input"]
    rows = [{"index": n, "embedding": list(sha256(text.encode()).digest()[:8])} for n, text in enumerate(texts)]
    reply.json({"object": "list", "data": rows[::-1]})


async def _stream(reply: Reply, wire: Wire, knobs: Knobs) -> None:
    await _send(reply, wire.opening())
    for number, piece in enumerate(wire.events()):
        if number in (knobs.cut, knobs.breaks):
            break
        if number and knobs.delay_seconds:
            await asyncio.sleep(knobs.delay_seconds)
        await _send(reply, piece)
    if knobs.cut is not None:
        return reply.cut()
    await _send(reply, wire.closing() if knobs.breaks is None else wire.error_event())
    reply.end_stream()


async def _send(reply: Reply, piece: bytes) -> None:
    if piece:
        await reply.send(piece)


def _waiting(wait: str | None) -> dict[str, str]:
    if wait is None:
        return {}
    return {"retry-after": formatdate(time.time() + 1, usegmt=True) if wait == "date" else wait}


def _dialect(request: Request) -> tuple[type[Wire], str] | None:
    path = request.path.partition("?")[0]
    if path.endswith("/chat/completions"):
        return ChatCompletions, request.json().get("model", "")
    if path.endswith("/messages"):
        return Messages, request.json().get("model", "")
    if model := _GEMINI.search(unquote(path)):
        return GenerateContent, model[1]
    return None


@asynccontextmanager
async def running_model_server(port: int = 0, default: Knobs | None = None) -> AsyncIterator[str]:
    """Serve on loopback and yield the address, like `http://127.0.0.1:40123`."""
    server = ModelServer(default or Knobs())
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(server.connect, "127.0.0.1", port, backlog=1024)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()


async def _serve(port: int, default: Knobs) -> None:
    async with running_model_server(port, default) as address:
        print(address, flush=True)  # noqa: T201 - the address is what this program says
        await asyncio.Event().wait()


def main() -> None:
    options = argparse.ArgumentParser(description="A fake model server.")
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--tokens", type=int, default=20)
    options.add_argument("--delay-ms", type=float, default=0)
    options.add_argument("--first-ms", type=float, default=0)
    chosen = options.parse_args()
    default = Knobs(tokens=chosen.tokens, delay_seconds=chosen.delay_ms / 1000, first_seconds=chosen.first_ms / 1000)
    with suppress(KeyboardInterrupt):
        uvloop.run(_serve(chosen.port, default))


if __name__ == "__main__":
    main()
