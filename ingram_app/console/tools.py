"""Tools: what smiths can do besides talk, and with whose accounts."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console import provider_form, search_form, server_form
from ingram_app.console.dialogs import close_dialog, code_button, code_drawer, confirm, curl, open_dialog
from ingram_app.console.figures import counted, moment
from ingram_app.console.lists import empty, list_table
from ingram_app.console.looks import badge, button, copy_button, head, relative_time, section, skeleton
from ingram_app.console.provider_form import NEW_PROVIDER, ProviderRow
from ingram_app.console.search_form import UNKNOWN, SearchRow
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid, UpstreamFailed
from ingram_app.domain import agents, catalog, mcp_servers, oauth_providers, registrations, searches
from ingram_app.domain.agents import Agent
from ingram_app.domain.hosted_tools import HOSTED_TOOLS
from ingram_app.domain.mcp_servers import McpServer
from ingram_app.domain.paging import Place

_PAGE = Place(limit=200)


@dataclass
class ServerRow:
    name: str
    url: str
    state: str
    tools: str
    error: str
    refreshed: str

    @classmethod
    def of(cls, server: McpServer) -> "ServerRow":
        allowed = [tool for tool in server.tools if tool.enabled]
        gated = sum(tool.gate is not None for tool in allowed)
        shown = f"{len(allowed)} of {counted(len(server.tools), 'tool')}{f', {gated} gated' if gated else ''}"
        if server.auth_kind == "oauth" and not server.tools:
            shown = "told once a smith is connected"
        error = server.discovery_error or server.last_call_error or ""
        return cls(server.name, server.url, server.status, shown, error, moment(server.tools_refreshed_at))


@dataclass
class BuiltInRow:
    name: str
    title: str
    about: str
    state: str
    where: str


@dataclass
class EntryRow:
    slug: str
    name: str
    about: str
    url: str
    auth: str


class Tools(rx.State):
    servers: list[ServerRow] = []
    built_in: list[BuiltInRow] = []
    providers: list[ProviderRow] = []
    entries: list[EntryRow] = []
    search: SearchRow = UNKNOWN
    chosen: ProviderRow = NEW_PROVIDER
    """The provider that a dialog is about; one without a name is a new one."""
    wished: dict[str, str] = {}
    """What stands in the dialog of a new server at first."""
    errors: dict[str, str] = {}
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show servers, built-in tools, providers and the catalog."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            servers = await mcp_servers.browse(session, caller)
            providers = await oauth_providers.browse(session, caller)
            search = await searches.find(session, caller)
            found = (await agents.browse(session, caller, _PAGE)).data
        self.servers = [ServerRow.of(server) for server in servers]
        self.providers = [ProviderRow.of(provider) for provider in providers]
        self.search = SearchRow.of(search)
        self.built_in = _built_in(list(found), search=search.available)
        self.entries = [
            EntryRow(
                entry.slug,
                entry.name,
                entry.description,
                entry.url,
                "registered" if entry.registers else entry.auth_kind,
            )
            for entry in catalog.browse(caller)
        ]
        self.errors, self.loaded = {}, True

    @rx.event
    async def begin(self, slug: str):
        """Open the dialog of a new server, one of the catalog if there is a slug."""
        await standing(self)
        entry = next((entry for entry in self.entries if entry.slug == slug), None)
        self.wished = server_form.wished(entry.slug, entry.url, entry.auth) if entry else server_form.BLANK
        self.errors = {}
        return open_dialog("new-server")

    @rx.event
    async def register(self, form: dict[str, Any]):
        """Register a server, and go where its tools are."""
        caller = await standing(self)
        name, given = server_form.read(form)
        try:
            await registrations.put(caller, name, given)
        except (Invalid, UpstreamFailed) as error:
            self.errors = server_form.told(error)
            return None
        self.errors = {}
        return [close_dialog("new-server"), rx.redirect(f"/p/{caller.project_id}/tools/{name}")]

    @rx.event
    async def choose_search(self):
        """Open the dialog about whom smiths ask when they search the web."""
        await standing(self)
        self.errors = {}
        return open_dialog("search")

    @rx.event
    async def put_search(self, form: dict[str, Any]):
        """Choose whom the project's smiths ask."""
        caller = await standing(self)
        provider, given = search_form.read(form)
        try:
            async with transaction(caller.tenancy) as session:
                if provider is not None:
                    await searches.put(session, caller, provider, **given)
                elif self.search.is_own:
                    await searches.remove(session, caller)
        except Invalid as error:
            self.errors = {error.param or "provider": error.sentence}
            return None
        return [close_dialog("search"), Tools.load, rx.toast.success("Kept.")]

    @rx.event
    async def choose(self, provider: str, dialog: str):
        """Open a dialog about a provider, or about a new one."""
        await standing(self)
        self.chosen = next((row for row in self.providers if row.provider == provider), NEW_PROVIDER)
        self.errors = {}
        return open_dialog("provider" if dialog == "edit" else "remove-provider")

    @rx.event
    async def put_provider(self, form: dict[str, Any]):
        """Keep us as a service knows us."""
        caller = await standing(self)
        name, given = provider_form.read(form, self.chosen)
        try:
            async with transaction(caller.tenancy) as session:
                await oauth_providers.put(session, caller, name, given)
        except Invalid as error:
            self.errors = {error.param or "provider": error.sentence}
            return None
        return [close_dialog("provider"), Tools.load, rx.toast.success("Kept. The secret is sealed.")]

    @rx.event
    async def remove_provider(self):
        """Forget the chosen provider."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await oauth_providers.remove(session, caller, self.chosen.provider)
        return [Tools.load, rx.toast.success("Forgotten.")]


def _built_in(found: list[Agent], *, search: bool) -> list[BuiltInRow]:
    rows = []
    for tool in HOSTED_TOOLS.values():
        users = [agent.name for agent in found if tool.name in (agent.draft.get("enabled_hosted_tools") or [])]
        shown = ", ".join(users[:3]) + (f" and {len(users) - 3} more" if len(users) > 3 else "")
        state = "available" if tool.available(search=search) else "no search service"
        rows.append(BuiltInRow(tool.name, tool.title, tool.description, state, shown))
    return rows


@page("/p/[project]/tools", title="Tools", on_load=Tools.load)
def tools() -> rx.Component:
    new = rx.cond(Session.manages, button("Add a server", icon="plus", kind="main", on_click=Tools.begin("")))
    shown = rx.el.div(_servers(new), _hosted(), _providers(), _catalog(), class_name="stack wide-gap tab")
    return rx.fragment(
        head("Tools", "What smiths can do besides talk, and with whose accounts.", code_button(), new),
        rx.cond(Tools.loaded, shown, skeleton()),
        server_form.dialog("new-server", Tools.wished, Tools.errors, Tools.register),
        search_form.dialog(Tools.search, Tools.errors, Tools.put_search),
        provider_form.dialog(Tools.chosen, Tools.errors, Tools.put_provider),
        confirm(
            "remove-provider",
            f"Forget {Tools.chosen.provider}",
            "Nobody can connect any more. Connections that are there work until their tokens end.",
            deed="Forget it",
            on_confirm=Tools.remove_provider,
        ),
        code_drawer(
            ("Register a server", server_form.example()),
            ("List servers", curl("GET", Session.address, "/v1/tenant/mcp")),
            (
                "Search with a key of your own",
                curl("PUT", Session.address, "/v1/tenant/search", '{"provider": "tavily", "api_key": "…"}'),
            ),
            ("List built-in tools", curl("GET", Session.address, "/v1/tenant/hosted_tools")),
            (
                "Set up a provider",
                curl(
                    "PUT",
                    Session.address,
                    "/v1/tenant/providers/github",
                    '{"client_id": "…", "client_secret": "…", "scopes_allowed": ["repo"]}',
                ),
            ),
        ),
    )


def _servers(new: rx.Component) -> rx.Component:
    return section(
        "Servers",
        "MCP servers of your own, or of others. Agents use all of them unless they name some.",
        list_table(
            ["Server", "State", "Allowed", "Address", "Tools told"],
            Tools.servers,
            lambda row: [
                row.name,
                rx.el.span(badge(row.state), title=row.error),
                row.tools,
                rx.el.code(row.url, class_name="clip wide", title=row.url),
                relative_time(row.refreshed),
            ],
            label="Servers",
            href=lambda row: f"/p/{Session.project_id}/tools/{row.name}",
            empty=empty(
                "No server yet",
                "A server brings its tools to every agent of this project: your order system, your calendar.",
                new,
                curl=server_form.example(),
            ),
        ),
    )


def _hosted() -> rx.Component:
    return section(
        "Built in",
        "They run in the platform. An agent's Design tab switches them on.",
        list_table(
            ["Tool", "State", "What it does", "Used by"],
            Tools.built_in,
            lambda row: [
                rx.el.div(rx.el.strong(row.title), rx.el.code(row.name, class_name="small"), class_name="stack tight"),
                badge(row.state),
                rx.el.span(row.about, class_name="muted"),
                rx.cond(row.where != "", row.where, rx.el.span("no agent", class_name="muted clip")),
            ],
            label="Built-in tools",
        ),
        search_form.line(Tools.search, Tools.choose_search),
    )


def _providers() -> rx.Component:
    new = rx.cond(Session.manages, button("Add a service", icon="plus", on_click=Tools.choose("", "edit")))
    return section(
        "Accounts",
        "Services in which a smith's person can have an account, and what each has to know of this installation.",
        list_table(
            ["Service", "Client id", "Redirect address", "Asked for", ""],
            Tools.providers,
            _provider_cells,
            label="Providers",
            empty=empty(
                "No service yet", "With one, a smith can act in its person's own account, by their consent.", new
            ),
        ),
        rx.cond(Tools.providers.length() > 0, rx.el.div(new, class_name="row")),
    )


def _provider_cells(row: ProviderRow) -> list[Any]:
    deeds = rx.el.div(
        button("Edit", kind="plain", on_click=Tools.choose(row.provider, "edit"), aria_label=f"Edit {row.provider}"),
        button(
            "Remove",
            kind="plain danger",
            on_click=Tools.choose(row.provider, "remove"),
            aria_label=f"Remove {row.provider}",
        ),
        class_name="row end",
    )
    return [
        rx.el.div(
            rx.el.strong(row.provider),
            rx.cond(row.registered_for != "", rx.el.span(row.registered_for, class_name="muted small")),
            class_name="stack tight",
        ),
        rx.el.code(row.client_id, class_name="clip", title=row.client_id),
        rx.el.span(
            rx.el.code(row.redirect_uri, class_name="clip", title=row.redirect_uri),
            copy_button(row.redirect_uri, "Copy the address"),
            class_name="id",
        ),
        rx.cond(row.scopes != "", rx.el.span(row.scopes, class_name="clip"), rx.el.span("nothing", class_name="muted")),
        rx.cond(Session.manages, deeds),
    ]


def _catalog() -> rx.Component:
    return section(
        "Catalog",
        "Servers that the public knows.",
        list_table(
            ["Server", "What it brings", "Asks for", ""],
            Tools.entries,
            lambda row: [
                rx.el.strong(row.name),
                rx.el.span(row.about, class_name="muted"),
                rx.match(
                    row.auth, ("oauth", "an account"), ("registered", "an account"), ("bearer", "a secret"), "nothing"
                ),
                rx.cond(
                    Session.manages,
                    rx.el.div(
                        button("Add", kind="plain", on_click=Tools.begin(row.slug), aria_label=f"Add {row.name}"),
                        class_name="row end",
                    ),
                ),
            ],
            label="Catalog",
        ),
    )
