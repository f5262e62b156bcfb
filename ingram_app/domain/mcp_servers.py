"""MCP servers: tools that a project's customers, or others, run themselves, and what of them a smith may use.

active ⇄ degraded     by the last discovery, or the last call, that failed or succeeded

A server's tools are kept as it described them, for an hour. Once an allowlist is given, a tool that is not on it is
not there. A call is gated when its server calls it destructive, or when a rule of the policy matches its name.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from time import monotonic
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import JSON, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, Tenancy, afterwards, alone, execute, transaction
from ingram_app.core.errors import Invalid, NotFound, UpstreamFailed
from ingram_app.core.ids import new_id
from ingram_app.domain import audit, catalog, keyrings, oauth_providers, signatures
from ingram_app.domain.access import Caller
from ingram_app.domain.catalog import AuthKind, Entry
from ingram_app.domain.signatures import Person
from ingram_app.gateways import mcp, outbound
from ingram_app.gateways.mcp import Described, McpFailed, Peer

FRESH = timedelta(hours=1)
ERROR_LETTERS = 500
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
KNOWN_SECONDS = 1.0
_KNOWN_AT_MOST = 1024


class McpServer(SQLModel, table=True):
    __tablename__ = "mcp_servers"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: str = Field(default_factory=lambda: new_id("mcp"), primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE")
    name: str
    url: str
    catalog_slug: str | None = None
    auth_kind: AuthKind = Field(default="none", sa_type=sa.String)
    provider: str | None = None
    """Whose connection of the smith is shown, with `oauth`."""
    client_mode: Literal["tenant", "platform"] = Field(default="tenant", sa_type=sa.String)
    sealed_secret: bytes | None = None
    tool_allowlist: list[str] | None = Field(default=None, sa_type=JSONB)
    approval_policy: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSONB)
    manifest: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSON)
    """The tools, as `Described`."""
    tools_refreshed_at: datetime | None = Field(default=None, sa_type=Moment)
    discovery_error: str | None = None
    last_call_error: str | None = None
    last_call_error_at: datetime | None = Field(default=None, sa_type=Moment)
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    updated_at: datetime = Field(default_factory=now, sa_type=Moment)

    @property
    def origin(self) -> Literal["catalog", "custom"]:
        return "catalog" if self.catalog_slug else "custom"

    @property
    def status(self) -> Literal["active", "degraded"]:
        return "degraded" if self.discovery_error or self.last_call_error else "active"

    @property
    def is_fresh(self) -> bool:
        return self.tools_refreshed_at is not None and self.tools_refreshed_at > now() - FRESH

    @property
    def tools(self) -> list["Tool"]:
        """What it offers, and what the project makes of that."""
        return [self._tool(Described(**described)) for described in self.manifest]

    def _tool(self, described: Described) -> "Tool":
        rules = [rule for rule in self.approval_policy if fnmatchcase(described.name, rule["match"])]
        if described.destructive:
            rules.append({"match": described.name, "require": "approval"})
        gate = {"approver": "operator", **rules[0]} if rules else None
        return Tool(described, self.tool_allowlist is None or described.name in self.tool_allowlist, gate)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a server is to be."""

    url: str
    entry: Entry | None
    auth: dict[str, Any]
    provider: str | None
    registers: bool
    """We are to become a client of its authorization server by ourselves."""
    tool_allowlist: list[str] | None
    approval_policy: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Tool:
    described: Described
    enabled: bool
    gate: dict[str, Any] | None
    """The rule by which a call of it waits for a person."""


class InvalidMcpServerName(Invalid):
    """A server's name is of a-z, 0-9, hyphens and underscores, begins with a letter or digit, and has at most 63."""


class InvalidMcpServerUrl(Invalid):
    """{url} is no address of a server: it begins with https:// (http:// only where private addresses are allowed)
    and holds no user name."""


class McpTargetRequired(Invalid):
    """Say where the server is: either `url`, or `catalog` with the slug of a catalog entry."""


class McpSecretRequired(Invalid):
    """A server with the auth kind `bearer` needs its `secret`: there is none, or it was given for another address."""


class McpProviderRequired(Invalid):
    """A server with the auth kind `oauth` needs the name of a `provider`, or the client mode `platform`."""


class UnsupportedPolicyRule(Invalid):
    """A rule has no `when`: a call is gated by the name of its tool alone."""


class DiscoveryFailed(UpstreamFailed):
    """The server {name} did not tell its tools: {reason}."""


_known: OrderedDict[str, tuple[float, list[McpServer]]] = OrderedDict()
"""By project, with when it was read: most runs have no servers, and need not ask each time."""


def checked(caller: Caller, name: str, given: dict[str, Any]) -> Wanted:
    """Return what a server is to be, if it can be that.

    Raises `InvalidMcpServerName`, `McpTargetRequired`, `InvalidMcpServerUrl`, `McpProviderRequired`,
    `UnsupportedPolicyRule`, and `NotFound` for what is not in the catalog.
    """
    caller.require("project:write")
    if not NAME.fullmatch(name):
        raise InvalidMcpServerName(param="name")
    url, entry = _target(caller, given)
    auth = given.get("auth") or {"kind": entry.auth_kind if entry else "none"}
    registers = auth["kind"] == "oauth" and auth.get("client_mode") == "platform"
    if auth["kind"] == "oauth" and not auth.get("provider") and not registers:
        raise McpProviderRequired(param="auth.provider")
    rules = given.get("approval_policy") or []
    if any("when" in rule for rule in rules):
        raise UnsupportedPolicyRule(param="approval_policy")
    provider = auth.get("provider") or (f"mcp-{name}"[:63] if registers else None)
    return Wanted(url, entry, auth, provider, registers, given.get("tool_allowlist"), rules)


async def put(session: AsyncSession, caller: Caller, name: str, given: dict[str, Any]) -> McpServer:
    """Keep a server, in place of any of that name; a secret is kept while the address stays the same.

    `registrations.put` does all that goes with it. Raises what `checked` does, and `McpSecretRequired`.
    """
    wanted = checked(caller, name, given)
    url = wanted.url
    await alone(session, f"{caller.project_id} mcp {name}")
    server = await _of(session, caller, name, held=True) or McpServer(project_id=caller.project_id, name=name, url=url)
    if server.url != url:
        server.sealed_secret, server.manifest, server.tools_refreshed_at = None, [], None
    server.sealed_secret = await _sealed(session, caller, wanted.auth, server.sealed_secret)
    server.url, server.catalog_slug = url, wanted.entry.slug if wanted.entry else None
    server.auth_kind, server.provider = wanted.auth["kind"], wanted.provider
    server.client_mode = "platform" if wanted.registers else "tenant"
    server.tool_allowlist, server.approval_policy = wanted.tool_allowlist, wanted.approval_policy
    server.discovery_error = server.last_call_error = server.last_call_error_at = None
    server.updated_at = now()
    session.add(server)
    await session.flush()
    await oauth_providers.release(session, caller, name, but=wanted.provider if wanted.registers else None)
    afterwards(session, lambda: _forget(caller.project_id))
    await audit.note(session, caller, "mcp_server.set", server.id, name=name, url=url, auth=server.auth_kind)
    return server


async def find(session: AsyncSession, caller: Caller, name: str) -> McpServer:
    """Return one of the project's servers. Raises `NotFound`."""
    caller.require("agents:read")
    server = await _of(session, caller, name)
    if server is None:
        raise NotFound(noun="MCP server", id=name[:80])
    return server


async def browse(session: AsyncSession, caller: Caller) -> list[McpServer]:
    """Return the project's servers, by name."""
    caller.require("agents:read")
    return await registered(session, caller.project_id)


async def registered(session: AsyncSession, project_id: str) -> list[McpServer]:
    """Return a project's servers, by name, for one who acts in it."""
    query = select(McpServer).where(McpServer.project_id == project_id)
    return list((await session.exec(query.order_by(McpServer.name))).all())


async def for_run(project_id: str, names: list[str] | None) -> list[McpServer]:
    """Return the servers that a run may use, as they were less than a second ago. Opens a transaction of its own."""
    if names == []:
        return []
    at, found = _known.get(project_id, (-1.0, []))
    if at + KNOWN_SECONDS < monotonic():
        async with transaction(Tenancy(project_id=project_id)) as session:
            found = await registered(session, project_id)
        _known[project_id] = monotonic(), found
        _known.move_to_end(project_id)
        if len(_known) > _KNOWN_AT_MOST:
            _known.popitem(last=False)
    return [server for server in found if names is None or server.name in names]


async def remove(session: AsyncSession, caller: Caller, name: str) -> None:
    """Forget a server. Raises `NotFound`."""
    server = await _held(session, caller, name)
    await session.delete(server)
    await oauth_providers.release(session, caller, name)
    afterwards(session, lambda: _forget(caller.project_id))
    await audit.note(session, caller, "mcp_server.removed", server.id, name=name)


async def allow(session: AsyncSession, caller: Caller, name: str, tool: str | None, *, allowed: bool) -> McpServer:
    """Allow one tool and no others that are not, or the opposite; with no tool named, all there are and will be.

    Raises `NotFound`.
    """
    server = await _held(session, caller, name)
    if tool is None:
        server.tool_allowlist = None if allowed else []
    else:
        now_allowed = [known.described.name for known in server.tools if known.enabled and known.described.name != tool]
        server.tool_allowlist = [*now_allowed, tool] if allowed else now_allowed
    return await _noted(session, caller, server, tool=tool, allowed=allowed)


async def gate(session: AsyncSession, caller: Caller, name: str, tool: str, *, gated: bool) -> McpServer:
    """Have calls of one tool wait for a person, or take the rule of that very name away. Raises `NotFound`."""
    server = await _held(session, caller, name)
    others = [rule for rule in server.approval_policy if rule["match"] != tool]
    server.approval_policy = [*others, {"match": tool, "require": "approval"}] if gated else others
    return await _noted(session, caller, server, tool=tool, gated=gated)


async def discover(caller: Caller, name: str) -> McpServer:
    """Ask a server for its tools, and keep what it says or why it does not.

    Opens transactions of its own: none is open while the server is asked. Raises `NotFound`.
    """
    async with transaction(caller.tenancy) as session:
        server = await find(session, caller, name)
        peer = await reach(session, server)
    return await survey(caller, server, peer)


async def refresh(caller: Caller, name: str) -> McpServer:
    """Have a server tell its tools anew. Raises `NotFound`, `DiscoveryFailed`."""
    caller.require("project:write")
    server = await discover(caller, name)
    if server.discovery_error is not None:
        raise DiscoveryFailed(name=name, reason=server.discovery_error)
    return server


async def survey(caller: Caller, server: McpServer, peer: Peer) -> McpServer:
    """Ask a server for its tools as this peer, and keep the outcome. Opens a transaction of its own."""
    changes: dict[str, Any] = {"discovery_error": None, "last_call_error": None, "last_call_error_at": None}
    try:
        found = await mcp.discover(peer)
        manifest = [{name: getattr(tool, name) for name in Described.__slots__} for tool in found]
        changes |= {"manifest": manifest, "tools_refreshed_at": now()}
    except McpFailed as failed:
        changes = {"discovery_error": str(failed)[:ERROR_LETTERS]}
        if failed.status == 401 and server.auth_kind == "oauth" and peer.bearer is None:
            changes = {"discovery_error": None}  # it tells its tools to those who are connected
    async with transaction(caller.tenancy) as session:
        await _change(session, server, changes)
    return server


async def note_call(session: AsyncSession, server: McpServer, error: str | None) -> None:
    """Keep why the last call of a server failed, or that it did not."""
    if error is not None or server.last_call_error is not None:
        at = now() if error is not None else None
        await _change(session, server, {"last_call_error": error and error[:ERROR_LETTERS], "last_call_error_at": at})


async def reach(
    session: AsyncSession, server: McpServer, person: Person | None = None, bearer: str | None = None
) -> Peer:
    """Return the server as a smith reaches it, or the project itself; `bearer` is the token of a connection."""
    ring = await keyrings.find(session, server.project_id)
    if server.auth_kind == "bearer" and server.sealed_secret is not None:
        bearer = ring.unseal(server.sealed_secret).decode()
    return Peer(
        server=f"{server.id} {server.url}",
        principal=person.smith_id if person else server.project_id,
        url=server.url,
        bearer=bearer,
        headers=signatures.signer(ring, server.url, person),
    )


async def _held(session: AsyncSession, caller: Caller, name: str) -> McpServer:
    caller.require("project:write")
    server = await _of(session, caller, name, held=True)
    if server is None:
        raise NotFound(noun="MCP server", id=name[:80])
    return server


async def _noted(session: AsyncSession, caller: Caller, server: McpServer, **facts: Any) -> McpServer:
    server.updated_at = now()
    afterwards(session, lambda: _forget(caller.project_id))
    await audit.note(session, caller, "mcp_server.changed", server.id, name=server.name, **facts)
    return server


def _forget(project_id: str) -> None:
    _known.pop(project_id, None)


async def _change(session: AsyncSession, server: McpServer, changes: dict[str, Any]) -> None:
    """Write what was learnt of a server, unless it has been moved or removed meanwhile."""
    same: list[Any] = [McpServer.id == server.id, McpServer.project_id == server.project_id]
    same.append(McpServer.url == server.url)
    await execute(session, sa.update(McpServer).where(*same).values(changes))
    afterwards(session, lambda: _forget(server.project_id))
    for name, value in changes.items():
        set_committed_value(server, name, value)


async def _of(session: AsyncSession, caller: Caller, name: str, *, held: bool = False) -> McpServer | None:
    query = select(McpServer).where(McpServer.project_id == caller.project_id, McpServer.name == name)
    return (await session.exec(query.with_for_update() if held else query)).first()


def _target(caller: Caller, given: dict[str, Any]) -> tuple[str, Entry | None]:
    url: str | None = given.get("url")
    slug: str | None = given.get("catalog")
    if slug is not None and url is None:
        entry = catalog.find(caller, slug)
        return entry.url, entry
    if url is None or slug is not None:
        raise McpTargetRequired(param="url")
    if not outbound.is_callable(url):
        raise InvalidMcpServerUrl(url=url[:200], param="url")
    return url, None


async def _sealed(session: AsyncSession, caller: Caller, auth: dict[str, Any], kept: bytes | None) -> bytes | None:
    if auth["kind"] != "bearer":
        return None
    if auth.get("secret"):
        return (await keyrings.find(session, caller.project_id)).seal(auth["secret"].encode())
    if kept is None:
        raise McpSecretRequired(param="auth.secret")
    return kept
