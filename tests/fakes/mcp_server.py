"""A real MCP server, of the official SDK, over streamable HTTP: one to talk to, and one to kill.

`python -m tests.fakes.mcp_server --port 0` prints its address and serves until it is ended.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Annotated, Any

import uvicorn
from mcp.server.mcpserver import Elicit, ElicitationResult, MCPServer, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send


class Size(BaseModel):
    size: str


@dataclass
class Desk:
    """What the server has been asked, and how it behaves."""

    address: str = ""
    requests: list[dict[str, str]] = field(default_factory=list)
    """Headers of each POST, its body under `body`."""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    bearer: str | None = None
    """What it wants to see."""
    status: int = 200
    legacy: bool = False
    """It knows only the protocol with sessions, as servers did before 2026."""
    began: asyncio.Event = field(default_factory=asyncio.Event)
    """A slow call has begun."""
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"{self.address}/mcp"


def server_of(desk: Desk, **how: Any) -> MCPServer:
    server = MCPServer("desk", **how)
    destructive = ToolAnnotations(destructive_hint=True)

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def look_up(order: str) -> str:
        """Look up an order."""
        desk.calls.append(("look_up", order))
        return f"{order}: on its way"

    @server.tool(annotations=destructive)
    def refund(order: str, cents: int) -> str:
        """Pay an order back."""
        desk.calls.append(("refund", (order, cents)))
        return f"{cents} paid back for {order}"

    def ask_size() -> Elicit[Size]:
        return Elicit("Which size?", Size)

    @server.tool()
    def order_shirt(size: Annotated[ElicitationResult[Size], Resolve(ask_size)]) -> str:
        """Order a shirt."""
        desk.calls.append(("order_shirt", size.action))
        return f"a shirt of size {size.data.size}" if size.action == "accept" else f"no shirt: {size.action}"

    @server.tool()
    async def wait() -> str:
        """Take long."""
        desk.calls.append(("wait", None))
        desk.began.set()
        await desk.go_on.wait()
        return "at last"

    @server.tool()
    def fail() -> str:
        """Fail."""
        raise ToolError("the printer is on fire")

    @server.tool()
    def shout(letters: int) -> str:
        """Say a lot."""
        return "A" * letters

    return server


class Door:
    """Stands before the server: notes who knocks, and whom to let in."""

    def __init__(self, inner: ASGIApp, desk: Desk) -> None:
        self.inner = inner
        self.desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self.inner(scope, receive, send)
        request = Request(scope, receive)
        body = await request.body()
        self.desk.requests.append({**request.headers, "body": body.decode()})
        wanted = self.desk.bearer and f"Bearer {self.desk.bearer}"
        refusal: Response | None = None
        if self.desk.legacy and b"server/discover" in body:
            refusal = PlainTextResponse("no such method", 404)
        elif self.desk.status != 200:
            refusal = PlainTextResponse("no", self.desk.status)
        elif wanted and request.headers.get("authorization") != wanted:
            refusal = PlainTextResponse("who?", 401, {"WWW-Authenticate": "Bearer"})
        if refusal is not None:
            return await refusal(scope, receive, send)
        sent = False

        async def again() -> Any:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        return await self.inner(scope, again, send)


@asynccontextmanager
async def running_mcp_server(port: int = 0) -> AsyncIterator[Desk]:
    """Serve on loopback."""
    desk = Desk()
    app = server_of(desk).streamable_http_app()
    config = uvicorn.Config(Door(app, desk), port=port, log_level="error", ws="none", timeout_graceful_shutdown=1)
    served = uvicorn.Server(config)
    served.capture_signals = nullcontext  # type: ignore[method-assign]
    serving = asyncio.create_task(served.serve())
    while not served.started:  # noqa: ASYNC110 - uvicorn sets no event
        await asyncio.sleep(0.005)
    desk.address = f"http://127.0.0.1:{served.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield desk
    finally:
        desk.go_on.set()
        served.should_exit = True
        await serving


async def _serve(port: int) -> None:
    async with running_mcp_server(port) as desk:
        print(desk.address, flush=True)  # noqa: T201 - the address is what this program says
        await asyncio.Event().wait()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="A real MCP server with a few tools.")
    options.add_argument("--port", type=int, default=0)
    asyncio.run(_serve(options.parse_args().port))
