"""Tools, servers and connections, without a browser."""

from collections.abc import AsyncIterator

import pytest

from ingram_app.console.accounts import Accounts
from ingram_app.console.session import NotHere
from ingram_app.console.tool_server import ToolServer
from ingram_app.console.tools import Tools
from ingram_app.core.database import transaction
from ingram_app.core.errors import Refused
from ingram_app.domain import agents, connections, mcp_servers, smiths
from ingram_app.domain.access import Role
from ingram_app.gateways import mcp
from tests.console.desk import Desk, call, sit
from tests.fakes.mcp_server import Desk as Server, running_mcp_server
from tests.fakes.registering_server import running_registering_server

pytestmark = pytest.mark.usefixtures("private_addresses_allowed")
GITHUB = {"provider": "github", "client_id": "us", "client_secret": "s3cret", "scopes_allowed": "repo user"}


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with running_mcp_server() as made:
        yield made
        await mcp.close()


async def registered(desk: Desk, server: Server) -> ToolServer:
    """Register a server as the console does; return its page."""
    tab = desk.at(Tools, "/tools")
    await call(tab, Tools.register, {"name": "desk", "url": server.url, "kind": "none"})
    assert tab.errors == {}
    page = desk.at(ToolServer, "/tools/desk")
    await call(page, ToolServer.load)
    return page


def shown(page: ToolServer) -> dict[str, tuple[bool, bool]]:
    return {row.name: (row.allowed, row.gated) for row in page.tools}


async def test_a_server_is_registered_and_its_tools_are_shown(desk: Desk, server: Server) -> None:
    page = await registered(desk, server)
    assert (page.state, page.lists, len(page.tools)) == ("active", False, 6)
    assert shown(page)["look_up"] == (True, False)
    refund = next(row for row in page.tools if row.name == "refund")
    assert (refund.gated, refund.fixed) == (True, "its server calls it destructive")
    tab = desk.at(Tools, "/tools")
    await call(tab, Tools.load)
    assert [(row.name, row.state, row.tools) for row in tab.servers] == [("desk", "active", "6 of 6 tools, 1 gated")]


async def test_switches_allow_and_gate_one_tool_each(desk: Desk, server: Server) -> None:
    page = await registered(desk, server)
    await call(page, ToolServer.allow, "shout", False)
    await call(page, ToolServer.gate, "look_up", True)
    assert (shown(page)["shout"], shown(page)["look_up"], page.lists) == ((False, False), (True, True), True)
    again = desk.at(ToolServer, "/tools/desk")
    await call(again, ToolServer.load)
    assert shown(again) == shown(page)
    await call(page, ToolServer.allow, "", True)
    await call(page, ToolServer.gate, "look_up", False)
    assert (shown(page)["shout"], shown(page)["look_up"], page.lists) == ((True, False), (True, False), False)


async def test_what_is_wrong_with_a_server_is_said_at_the_field(desk: Desk) -> None:
    tab = desk.at(Tools, "/tools")
    for form, field in (
        ({"name": "Desk", "url": "https://x.example"}, "name"),
        ({"name": "desk", "url": "x"}, "url"),
        ({"name": "desk", "url": "https://x.example", "kind": "bearer"}, "secret"),
        ({"name": "desk", "url": "https://x.example", "kind": "oauth"}, "provider"),
    ):
        await call(tab, Tools.register, form)
        assert list(tab.errors) == [field]


async def test_a_server_is_refreshed_edited_and_removed(desk: Desk, server: Server) -> None:
    page = await registered(desk, server)
    await call(page, ToolServer.allow, "shout", False)
    server.status = 500
    await call(page, ToolServer.refresh)
    assert (page.state, page.discovery_error) == ("degraded", "it answered 500")
    server.status = 200
    server.bearer = "the-secret"
    await call(page, ToolServer.change, {"url": server.url, "kind": "bearer", "secret": "the-secret"})
    assert (page.state, page.discovery_error, page.stands["kind"]) == ("active", "", "bearer")
    assert not shown(page)["shout"][0], "what was not allowed still is not"
    assert "the-secret" not in str(page.get_value("stands"))
    await call(page, ToolServer.remove)
    with pytest.raises(NotHere):
        await call(page, ToolServer.load)


async def test_built_in_tools_say_who_uses_them(desk: Desk) -> None:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        await agents.create(session, caller, name="Concierge", enabled_hosted_tools=["web_fetch"])
    tab = desk.at(Tools, "/tools")
    await call(tab, Tools.load)
    rows = {row.name: row for row in tab.built_in}
    assert (rows["web_fetch"].where, rows["web_fetch"].state) == ("Concierge", "available")
    assert (rows["web_search"].where, rows["web_search"].state) == ("", "no search service")


async def test_a_search_service_of_the_project_s_own_is_chosen_and_given_up(desk: Desk) -> None:
    tab = desk.at(Tools, "/tools")
    await call(tab, Tools.load)
    assert tab.search.said == "Nobody is asked: the tool is not there, as this installation has it."
    await call(tab, Tools.choose_search)
    await call(tab, Tools.put_search, {"provider": "tavily"})
    assert list(tab.errors) == ["api_key"]
    await call(tab, Tools.put_search, {"provider": "tavily", "api_key": "the-key"})
    await call(tab, Tools.load)
    assert tab.search.said == "Tavily is asked, as this project chose."
    assert {row.name: row.state for row in tab.built_in}["web_search"] == "available"
    assert "the-key" not in str(tab.dict())
    await call(tab, Tools.put_search, {"provider": "platform"})
    await call(tab, Tools.load)
    assert tab.search.chosen == "platform"


async def test_a_server_where_we_register_by_ourselves_shows_as_whom(desk: Desk) -> None:
    async with running_registering_server() as office:
        tab = desk.at(Tools, "/tools")
        asked = {"name": "orders", "url": office.url, "kind": "registered"}
        office.told[office.about_the_office] = None
        await call(tab, Tools.register, asked)
        assert list(tab.errors) == ["kind"]
        office.told.clear()
        await call(tab, Tools.register, asked)
        assert tab.errors == {}
        await call(tab, Tools.load)
        [row] = [row for row in tab.providers if row.provider == "mcp-orders"]
        assert row.registered_for == "registered by itself, for orders"
        page = desk.at(ToolServer, "/tools/orders")
        await call(page, ToolServer.load)
        assert (page.stands["kind"], page.stands["provider"], page.provider) == ("registered", "", "mcp-orders")
        await call(page, ToolServer.change, {"url": office.url, "kind": "registered"})
        assert (page.errors, len(office.clients)) == ({}, 1)
        await mcp.close()


async def test_a_server_of_the_catalog_is_offered_with_what_is_known(desk: Desk) -> None:
    tab = desk.at(Tools, "/tools")
    await call(tab, Tools.load)
    await call(tab, Tools.begin, "github")
    assert (tab.wished["name"], tab.wished["kind"]) == ("github", "oauth")
    await call(tab, Tools.begin, "linear")
    assert (tab.wished["name"], tab.wished["kind"]) == ("linear", "registered")
    await call(tab, Tools.begin, "")
    assert tab.wished["name"] == ""


async def test_a_provider_is_kept_with_its_redirect_address_and_without_its_secret(desk: Desk) -> None:
    tab = desk.at(Tools, "/tools")
    await call(tab, Tools.put_provider, GITHUB)
    assert tab.errors == {}
    await call(tab, Tools.load)
    [row] = tab.providers
    assert (row.provider, row.scopes) == ("github", "repo user")
    assert row.redirect_uri.endswith("/v1/oauth/callback")
    assert "s3cret" not in str(tab.dict())
    await call(tab, Tools.choose, "github", "edit")
    await call(tab, Tools.put_provider, {"client_id": "us", "scopes_allowed": "repo"})
    assert tab.errors == {}
    await call(tab, Tools.load)
    assert tab.providers[0].scopes == "repo"
    await call(tab, Tools.remove_provider)
    await call(tab, Tools.load)
    assert tab.providers == []


async def smith_of(desk: Desk) -> str:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        clone, _ = await smiths.create(session, caller, {})
    return clone.smith.id


async def test_a_smith_s_connections_are_shown_with_what_is_missing(desk: Desk) -> None:
    for provider in ("github", "google"):
        await call(desk.at(Tools, "/tools"), Tools.put_provider, GITHUB | {"provider": provider})
    smith_id, caller = await smith_of(desk), await desk.caller()
    async with transaction(caller.tenancy) as session:
        await connections.bring(session, caller, smith_id, "github", credential={"access_token": "t-0-k-e-n"})
    tab = desk.at(Accounts, f"/smiths/{smith_id}", tab="connections")
    await call(tab, Accounts.load)
    assert [(row.provider, row.state) for row in tab.rows] == [("github", "active"), ("google", "not connected")]
    assert "t-0-k-e-n" not in str(tab.dict())
    await call(tab, Accounts.connect, "google")
    assert tab.link.startswith("https://accounts.google.com/")
    await call(tab, Accounts.choose, "github")
    await call(tab, Accounts.disconnect)
    assert [row.state for row in tab.rows] == ["not connected", "not connected"]


@pytest.mark.parametrize("role", [Role.member, Role.viewer])
async def test_only_owners_and_admins_change_servers_and_providers(desk: Desk, server: Server, role: Role) -> None:
    await registered(desk, server)
    colleague = await sit(role, beside=desk)
    page, tab = colleague.at(ToolServer, "/tools/desk"), colleague.at(Tools, "/tools")
    await call(page, ToolServer.load)
    await call(tab, Tools.load)
    assert len(page.tools) == 6
    deeds = [
        (page, ToolServer.allow, ("shout", False)),
        (page, ToolServer.gate, ("shout", True)),
        (page, ToolServer.refresh, ()),
        (page, ToolServer.change, ({"url": "https://evil.example", "kind": "none"},)),
        (page, ToolServer.remove, ()),
        (tab, Tools.register, ({"name": "x", "url": "https://evil.example"},)),
        (tab, Tools.put_provider, (GITHUB,)),
    ]
    for state, handler, given in deeds:
        with pytest.raises(Refused):
            await call(state, handler, *given)
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        [only] = await mcp_servers.browse(session, caller)
    assert (only.url, only.tool_allowlist, only.approval_policy) == (server.url, None, [])


async def test_another_organization_s_server_is_not_here(desk: Desk, stranger: Desk, server: Server) -> None:
    await registered(desk, server)
    page = stranger.at(ToolServer, "/tools/desk")
    for handler, given in ((ToolServer.load, ()), (ToolServer.allow, ("shout", False)), (ToolServer.remove, ())):
        with pytest.raises(Exception, match=r"no such|There is no"):
            await call(page, handler, *given)
