"""/v1/tenant/mcp: tools that a project's own servers bring; /v1/catalog: servers that the public knows."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from ingram_app.api.deps import Caller, InTransaction, Route
from ingram_app.api.models import ApiKey
from ingram_app.api.shapes import In, ListOut, Out
from ingram_app.domain import catalog, mcp_servers, registrations
from ingram_app.domain.catalog import AuthKind, Entry
from ingram_app.domain.designs import ApprovalRule, Name
from ingram_app.domain.mcp_servers import McpServer

router = APIRouter(tags=["tools"], route_class=Route)


class AuthIn(In):
    kind: AuthKind
    provider: str | None = Field(default=None, max_length=63)
    secret: ApiKey | None = None
    client_mode: Literal["tenant", "platform"] = "tenant"


class RuleIn(ApprovalRule):
    when: Any = None
    """Not supported: a call is gated by the name of its tool alone."""


class McpServerIn(In):
    url: str | None = None
    catalog: str | None = None
    auth: AuthIn | None = None
    tool_allowlist: Annotated[list[Name], Field(max_length=256)] | None = None
    approval_policy: Annotated[list[RuleIn], Field(max_length=64)] = []


class AuthOut(Out):
    kind: AuthKind
    provider: str | None
    client_mode: Literal["tenant", "platform"]


class ToolOut(Out):
    name: str
    description: str
    requires_approval: bool
    enabled: bool


class McpServerOut(Out):
    id: str
    name: str
    url: str
    auth: AuthOut
    origin: Literal["catalog", "custom"]
    catalog_slug: str | None
    tool_allowlist: list[str] | None
    approval_policy: list[dict[str, Any]]
    tools: list[ToolOut]
    tools_discovered: int
    tools_refreshed_at: datetime | None
    status: Literal["active", "degraded"]
    discovery_error: str | None
    last_call_error: str | None
    last_call_error_at: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, server: McpServer) -> "McpServerOut":
        shown = {name: getattr(server, name) for name in cls.model_fields if hasattr(server, name)}
        auth = AuthOut(kind=server.auth_kind, provider=server.provider, client_mode=server.client_mode)
        tools = [
            ToolOut(
                name=tool.described.name,
                description=tool.described.description,
                requires_approval=tool.gate is not None,
                enabled=tool.enabled,
            )
            for tool in server.tools
        ]
        return cls(**shown | {"auth": auth, "tools": tools, "tools_discovered": len(tools)})


class EntryOut(Out):
    slug: str
    name: str
    description: str
    url: str
    auth_kind: AuthKind


@router.get("/tenant/mcp", response_model=ListOut[McpServerOut])
async def list_mcp_servers(caller: Caller, session: InTransaction) -> ListOut[McpServerOut]:
    """List the project's MCP servers with their tools."""
    return ListOut(data=[McpServerOut.of(server) for server in await mcp_servers.browse(session, caller)])


@router.put("/tenant/mcp/{name}", response_model=McpServerOut)
async def put_mcp_server(name: str, body: McpServerIn, caller: Caller) -> McpServerOut:
    """Register a server, or replace one, and ask it for its tools; `discovery_error` says if it did not answer."""
    return McpServerOut.of(await registrations.put(caller, name, body.model_dump(exclude_unset=True)))


@router.get("/tenant/mcp/{name}", response_model=McpServerOut)
async def get_mcp_server(name: str, caller: Caller, session: InTransaction) -> McpServerOut:
    """Show one server with its tools."""
    return McpServerOut.of(await mcp_servers.find(session, caller, name))


@router.delete("/tenant/mcp/{name}", status_code=204)
async def delete_mcp_server(name: str, caller: Caller, session: InTransaction) -> None:
    """Forget a server, its secret and its tools."""
    await mcp_servers.remove(session, caller, name)


@router.post("/tenant/mcp/{name}/refresh", response_model=McpServerOut)
async def refresh_mcp_server(name: str, caller: Caller) -> McpServerOut:
    """Ask a server for its tools now, instead of when an hour has passed."""
    return McpServerOut.of(await mcp_servers.refresh(caller, name))


@router.get("/catalog", response_model=ListOut[EntryOut])
async def list_catalog(caller: Caller) -> dict[str, list[Entry]]:
    """List MCP servers that the public knows; register one by its slug, as `catalog`."""
    return {"data": catalog.browse(caller)}


@router.get("/catalog/{slug}", response_model=EntryOut)
async def get_catalog_entry(slug: str, caller: Caller) -> Entry:
    """Show one entry of the catalog."""
    return catalog.find(caller, slug)
