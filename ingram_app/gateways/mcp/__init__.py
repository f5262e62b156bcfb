"""MCP: the tools of servers that others run, over streamable HTTP and the official SDK.

What servers say is bounded, and believed by nobody. The SDK is imported when the first server is called.
"""

from collections.abc import Sequence
from typing import Any

from ingram_app.core import later
from ingram_app.gateways.mcp.peer import Answer, Asked, Described, McpFailed, Peer, Question, Result

__all__ = ["Answer", "Asked", "Described", "McpFailed", "Peer", "Question", "Result", "call", "close", "discover"]

DISCOVER_SECONDS = 10
CALL_SECONDS = 120
_TALKING = f"{__name__}.talking"


async def discover(peer: Peer) -> list[Described]:
    """Return the tools that a server offers, but for those that are too long to be told. Raises `McpFailed`."""
    found: list[Described] = await (await later.module(_TALKING)).discover(peer)
    return found


async def call(peer: Peer, tool: str, arguments: dict[str, Any], answers: Sequence[Answer] = ()) -> Result:
    """Return what a tool says, given what a person has answered to its questions. Raises `Asked`, `McpFailed`.

    A call that an old session did not carry to the server is made again on a new one; others never are.
    """
    said: Result = await (await later.module(_TALKING)).call(peer, tool, arguments, answers)
    return said


async def close() -> None:
    """Close the sessions of the running event loop, at the end of the process."""
    if later.is_imported(_TALKING):
        await (await later.module(_TALKING)).close()
