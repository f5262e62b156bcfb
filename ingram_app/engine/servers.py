"""The tools that MCP servers bring to a run.

A server that is down, or whose provider the smith's person is not connected with, costs the run its tools and a
warning, never the run. A call asks anew whether its tool is still there: what an operator takes away is gone at once.
"""

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound
from ingram_app.domain import authorizations, credentials, event_types, events, mcp_servers, smiths
from ingram_app.domain.access import Actor, Caller, platform
from ingram_app.domain.credentials import ConnectionBroken, RefreshFailed
from ingram_app.domain.frames import ConnectionRequired
from ingram_app.domain.mcp_servers import McpServer
from ingram_app.domain.runs import Run
from ingram_app.domain.signatures import Person
from ingram_app.engine.tools import Tool, ToolAsks, ToolRefused, ToolUnavailable, Use
from ingram_app.gateways import mcp
from ingram_app.gateways.mcp import Answer, Asked, McpFailed

NAME_LETTERS = 64
SECONDS = mcp.CALL_SECONDS + 20
UNAVAILABLE = "mcp_unavailable"


@dataclass(frozen=True, slots=True)
class Brought:
    """What servers bring, and what is missing."""

    tools: list[Tool] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    unconnected: list[McpServer] = field(default_factory=list)
    """Those whose provider the smith's person has to connect with first."""


class _Unconnected(Exception):
    """The smith's person has no working connection with the provider."""


async def bring(run: Run, taken: Collection[str]) -> Brought:
    """Return the tools of the servers that a run may use. Those whose names are `taken`, or twice, get their server's
    name before theirs."""
    brought = Brought()
    names = run.config["mcp_servers"]
    found = await mcp_servers.for_run(run.project_id, names)
    for name in set(names or []) - {server.name for server in found}:
        brought.warnings.append((UNAVAILABLE, f"There is no MCP server {name}; the smith goes on without its tools."))
    if not found:
        return brought
    person = await _person(run)
    told = await asyncio.gather(*(_tools_of(run, server, person, brought) for server in found))
    offered = [pair for pairs in told for pair in pairs]
    counted = Counter(_plain(tool.described.name) for _, tool in offered)
    for server, tool in offered:
        name = _plain(tool.described.name)
        if name in taken or counted[name] > 1:
            name = _plain(f"{server.name}_{tool.described.name}")
        brought.tools.append(_as_tool(name, server, tool, person))
    return brought


async def require(run: Run, unconnected: Sequence[McpServer]) -> tuple[list[ConnectionRequired], list[tuple[str, str]]]:
    """Ask for connections: return the frames that say where the smith's person connects, and what goes wrong."""
    frames: list[ConnectionRequired] = []
    warnings: list[tuple[str, str]] = []
    caller = _starter(run)
    for server in unconnected:
        provider = server.provider or ""
        try:
            async with transaction(caller.tenancy) as session:
                asked = {"mcp_server": server.name}
                url = await authorizations.begin(session, caller, run.smith_id, provider, **asked)
                required = event_types.ConnectionRequired(run.id, provider, server.name, url)
                await events.tell(session, platform(run.project_id), required, smith_id=run.smith_id)
        except NotFound:
            told = f"The provider {provider} of the MCP server {server.name} is not registered."
            warnings.append((UNAVAILABLE, told))
            continue
        frames.append(ConnectionRequired(provider, server.name, url))
        told = f"The tools of {server.name} wait until the person is connected with {provider}."
        warnings.append(("connection_required", told))
    return frames, warnings


async def _tools_of(
    run: Run, server: McpServer, person: Person, brought: Brought
) -> list[tuple[McpServer, mcp_servers.Tool]]:
    """Return what a server offers and the project allows, asked for anew when it is an hour old."""
    try:
        bearer = await _bearer(server, person)
        if not server.is_fresh:
            caller = platform(run.project_id)
            async with transaction(caller.tenancy) as session:
                peer = await mcp_servers.reach(session, server, person, bearer)
            server = await mcp_servers.survey(caller, server, peer)
            if server.discovery_error is not None:
                raise ToolUnavailable(server.discovery_error)
    except _Unconnected:
        brought.unconnected.append(server)
        return []
    except ToolUnavailable as why:
        told = f"The MCP server {server.name} is left out: {why}."
        brought.warnings.append((UNAVAILABLE, told))
        return []
    return [(server, tool) for tool in server.tools if tool.enabled]


def _as_tool(name: str, server: McpServer, tool: mcp_servers.Tool, person: Person) -> Tool:
    described = tool.described
    return Tool(
        name=name,
        description=described.description,
        parameters=described.parameters,
        deed=partial(_call, server.name, described.name, person),
        repeatable=described.repeatable,
        seconds=SECONDS,
        gate=tool.gate,
    )


async def _call(server_name: str, tool: str, person: Person, use: Use, arguments: dict[str, Any]) -> str:
    """Make a call for a smith. Raises `ToolRefused`, `ToolUnavailable`, `ToolAsks`."""
    caller = platform(use.run.project_id)
    try:
        async with transaction(caller.tenancy) as session:
            server = await mcp_servers.find(session, caller, server_name)
        if not any(known.enabled and known.described.name == tool for known in server.tools):
            raise ToolRefused(f"{tool} is not allowed any more.")
        bearer = await _bearer(server, person)
        async with transaction(caller.tenancy) as session:
            peer = await mcp_servers.reach(session, server, person, bearer)
    except NotFound:
        raise ToolRefused(f"The server of {tool} is not there any more.") from None
    except _Unconnected:
        raise ToolRefused(f"{tool} needs an account that the person has not connected.") from None
    answers = [Answer(question, "accept", content) for question, content in use.answers]
    failure = None
    try:
        result = await mcp.call(peer, tool, arguments, answers)
    except Asked as asked:
        raise ToolAsks(asked.question) from None
    except McpFailed as failed:
        failure = f"The call of {tool} failed: {failed}"
    async with transaction(caller.tenancy) as session:
        await mcp_servers.note_call(session, server, failure)
    if failure is not None:
        raise ToolUnavailable(f"{failure}.", code=UNAVAILABLE)
    if result.is_error:
        raise ToolRefused(result.text)
    return result.text


async def _bearer(server: McpServer, person: Person) -> str | None:
    """Return the token of the smith's connection, if the server wants one. Raises `_Unconnected`, `ToolUnavailable`."""
    if server.auth_kind != "oauth":
        return None
    try:
        token = await credentials.token(server.project_id, person.smith_id, server.provider or "")
    except (ConnectionBroken, NotFound):
        raise _Unconnected from None
    except RefreshFailed as failed:
        raise ToolUnavailable(failed.sentence) from None
    if token is None:
        raise _Unconnected
    return token


async def _person(run: Run) -> Person:
    caller = platform(run.project_id)
    async with transaction(caller.tenancy) as session:
        known = await smiths.known(session, caller, [run.smith_id])
    smith = known.get(run.smith_id)
    return Person(run.smith_id, smith.external_id if smith else None)


def _starter(run: Run) -> Caller:
    """Return whoever started the run, as one who may ask for a connection of its smith."""
    actor: Any = run.actor
    who = platform(run.project_id).actor if actor is None else Actor(**actor)
    return Caller(who, frozenset({"connections:write"}), project_id=run.project_id)


def _plain(name: str) -> str:
    """Return a name as models take it; one that is too long keeps its beginning, and a mark of the whole."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    if len(plain) <= NAME_LETTERS:
        return plain
    return f"{plain[: NAME_LETTERS - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
