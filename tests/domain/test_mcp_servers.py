"""MCP servers: when what they have told is still believed, and what is learnt of them by the way."""

from datetime import timedelta
from typing import Any

from ingram_app.core.clock import now
from ingram_app.core.database import transaction
from ingram_app.domain import mcp_servers
from ingram_app.domain.access import Caller
from ingram_app.domain.mcp_servers import McpServer

NOWHERE = {"url": "https://127.0.0.1:1/mcp"}


async def test_tools_are_believed_for_an_hour() -> None:
    server = McpServer(project_id="proj_1", name="desk", url="https://x.example")
    assert not server.is_fresh
    server.tools_refreshed_at = now() - timedelta(minutes=59)
    assert server.is_fresh
    server.tools_refreshed_at -= timedelta(minutes=2)
    assert not server.is_fresh


async def test_a_failed_call_degrades_a_server_until_the_next_succeeds(tenant: Caller) -> None:
    async with transaction(tenant.tenancy) as session:
        server = await mcp_servers.put(session, tenant, "failing", NOWHERE)
        assert server.status == "active"
        await mcp_servers.note_call(session, server, "x" * 10_000)
    async with transaction(tenant.tenancy) as session:
        server = await mcp_servers.find(session, tenant, "failing")
        assert (server.status, len(server.last_call_error or "")) == ("degraded", 500)
        assert server.last_call_error_at is not None
        await mcp_servers.note_call(session, server, None)
    async with transaction(tenant.tenancy) as session:
        assert (await mcp_servers.find(session, tenant, "failing")).status == "active"


async def test_what_is_learnt_of_a_server_that_has_moved_meanwhile_is_dropped(tenant: Caller) -> None:
    async with transaction(tenant.tenancy) as session:
        before = await mcp_servers.put(session, tenant, "moving", NOWHERE)
        session.expunge(before)
        await mcp_servers.put(session, tenant, "moving", {"url": "https://127.0.0.2:1/mcp"})
        await mcp_servers.note_call(session, before, "it can not be reached")
    async with transaction(tenant.tenancy) as session:
        assert (await mcp_servers.find(session, tenant, "moving")).last_call_error is None


async def test_a_run_finds_the_servers_that_its_design_names_or_all(tenant: Caller) -> None:
    async with transaction(tenant.tenancy) as session:
        for name in ("b", "a"):
            await mcp_servers.put(session, tenant, name, NOWHERE)
    named = await mcp_servers.for_run(tenant.project_id, ["b", "nothing"])
    everything = await mcp_servers.for_run(tenant.project_id, None)
    none = await mcp_servers.for_run(tenant.project_id, [])
    assert [server.name for server in named] == ["b"]
    assert {server.name for server in everything} >= {"a", "b"}
    assert none == []


async def test_a_change_is_seen_by_the_next_run(tenant: Caller) -> None:
    async with transaction(tenant.tenancy) as session:
        await mcp_servers.put(session, tenant, "there", NOWHERE)
    assert await mcp_servers.for_run(tenant.project_id, ["there"])
    async with transaction(tenant.tenancy) as session:
        await mcp_servers.remove(session, tenant, "there")
    assert await mcp_servers.for_run(tenant.project_id, ["there"]) == []


async def test_tools_are_allowed_and_gated_one_by_one(tenant: Caller) -> None:
    def described(name: str, *, destructive: bool = False) -> dict[str, Any]:
        facts = {"description": "", "parameters": {}, "repeatable": False}
        return {"name": name, "destructive": destructive, **facts}

    def shown(server: McpServer) -> dict[str, tuple[bool, bool]]:
        return {tool.described.name: (tool.enabled, tool.gate is not None) for tool in server.tools}

    async with transaction(tenant.tenancy) as session:
        server = await mcp_servers.put(session, tenant, "switched", NOWHERE)
        server.manifest = [described("read"), described("drop", destructive=True)]
        deeds = (
            (mcp_servers.allow, "drop", {"allowed": False}, {"read": (True, False), "drop": (False, True)}),
            (mcp_servers.gate, "read", {"gated": True}, {"read": (True, True), "drop": (False, True)}),
            (mcp_servers.allow, "drop", {"allowed": True}, {"read": (True, True), "drop": (True, True)}),
            (mcp_servers.gate, "read", {"gated": False}, {"read": (True, False), "drop": (True, True)}),
        )
        for deed, tool, how, result in deeds:
            assert shown(await deed(session, tenant, "switched", tool, **how)) == result
        assert server.tool_allowlist == ["read", "drop"]
        await mcp_servers.allow(session, tenant, "switched", None, allowed=True)
        assert server.tool_allowlist is None
