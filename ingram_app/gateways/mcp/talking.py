"""Talking to MCP servers, by the official SDK: imported when the first of them is called."""

from collections.abc import Sequence
from typing import Any

from mcp.shared.exceptions import MCPError

from ingram_app.gateways import mcp
from ingram_app.gateways.mcp import reading
from ingram_app.gateways.mcp.peer import Answer, Asked, Described, McpFailed, Peer, Result
from ingram_app.gateways.mcp.pool import borrowed, close

__all__ = ["call", "close", "discover"]


async def discover(peer: Peer) -> list[Described]:
    """Return the tools that a server offers, but for those that are too long to be told. Raises `McpFailed`."""
    async with borrowed(peer) as session:
        found: list[Any] = []
        cursor: str | None = None
        for _ in range(reading.MOST_PAGES):
            try:
                listed = await session.do(session.client.list_tools(cursor=cursor), mcp.DISCOVER_SECONDS)
            except MCPError as refused:
                raise McpFailed(reading.cut(refused.error.message, 200)) from None
            found += listed.tools
            cursor = listed.next_cursor
            if cursor is None:
                break
    return reading.described(found)


async def call(peer: Peer, tool: str, arguments: dict[str, Any], answers: Sequence[Answer] = ()) -> Result:
    """Return what a tool says, given what a person has answered to its questions. Raises `Asked`, `McpFailed`.

    A call that an old session did not carry to the server is made again on a new one; others never are.
    """
    try:
        return await _call(peer, tool, arguments, answers)
    except McpFailed as failed:
        if not failed.unheard:
            raise
    return await _call(peer, tool, arguments, answers)


async def _call(peer: Peer, tool: str, arguments: dict[str, Any], answers: Sequence[Answer]) -> Result:
    async with borrowed(peer) as session:
        session.expect(answers)
        try:
            return reading.result(await session.do(session.client.call_tool(tool, arguments), mcp.CALL_SECONDS))
        except MCPError as refused:
            if (question := reading.url_question(refused)) is not None and question not in [
                a.question for a in answers
            ]:
                raise Asked(question) from None
            return Result(reading.cut(refused.error.message, reading.TEXT_LETTERS), is_error=True)
