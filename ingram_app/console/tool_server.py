"""One MCP server: its tools, which of them are allowed and which wait for a person, and what went wrong last."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console import server_form
from ingram_app.console.address import is_at, named, or_not_here
from ingram_app.console.dialogs import close_dialog, code_button, code_drawer, confirm, curl, open_dialog
from ingram_app.console.figures import moment
from ingram_app.console.lists import list_table
from ingram_app.console.looks import button, facts, link, one_thing, relative_time, section, skeleton, split
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid, UpstreamFailed
from ingram_app.domain import mcp_servers, registrations
from ingram_app.domain.access import Caller
from ingram_app.domain.mcp_servers import DiscoveryFailed, McpServer, Tool


@dataclass
class ToolRow:
    name: str
    about: str
    allowed: bool
    gated: bool
    fixed: str
    """Why its gate can not be switched here; empty when it can."""

    @classmethod
    def of(cls, tool: Tool) -> "ToolRow":
        name, rule = tool.described.name, tool.gate
        fixed = ""
        if tool.described.destructive:
            fixed = "its server calls it destructive"
        elif rule is not None and rule["match"] != name:
            fixed = f"by the rule {rule['match']}"
        return cls(name, tool.described.description, tool.enabled, rule is not None, fixed)


class ToolServer(rx.State):
    id: str = ""
    name: str = ""
    state: str = ""
    stands: dict[str, str] = server_form.BLANK
    provider: str = ""
    tools: list[ToolRow] = []
    lists: bool = False
    """There is an allowlist."""
    discovery_error: str = ""
    call_error: str = ""
    call_error_at: str = ""
    refreshed: str = ""
    created: str = ""
    errors: dict[str, str] = {}
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show the server that the address names."""
        caller = await standing(self)
        wanted = named(self, "tools")
        if wanted != self.name:
            self.reset()
        with or_not_here("server"):
            async with transaction(caller.tenancy) as session:
                self._show(await mcp_servers.find(session, caller, wanted))

    @rx.event
    async def allow(self, tool: str, allowed: bool):
        """Allow a tool, or do not; without one, all there are and will be."""
        caller = await standing(self)
        wanted = named(self, "tools")
        async with transaction(caller.tenancy) as session:
            self._show(await mcp_servers.allow(session, caller, wanted, tool or None, allowed=allowed))

    @rx.event
    async def gate(self, tool: str, gated: bool):
        """Have calls of a tool wait for a person, or not."""
        caller = await standing(self)
        wanted = named(self, "tools")
        async with transaction(caller.tenancy) as session:
            self._show(await mcp_servers.gate(session, caller, wanted, tool, gated=gated))

    @rx.event
    async def refresh(self):
        """Ask the server for its tools now."""
        caller = await standing(self)
        wanted = named(self, "tools")
        try:
            self._show(await mcp_servers.refresh(caller, wanted))
        except DiscoveryFailed as failed:
            await self._show_anew(caller, wanted)
            return rx.toast.error(failed.sentence)
        return rx.toast.success("It has told its tools.")

    @rx.event
    async def edit(self):
        """Open the dialog."""
        await standing(self)
        self.errors = {}
        return open_dialog("edit-server")

    @rx.event
    async def change(self, form: dict[str, Any]):
        """Change where the server is and what it is shown; what is allowed and gated stays."""
        caller = await standing(self)
        wanted = named(self, "tools")
        _, given = server_form.read(form)
        async with transaction(caller.tenancy) as session:
            old = await mcp_servers.find(session, caller, wanted)
        kept = {"tool_allowlist": old.tool_allowlist, "approval_policy": old.approval_policy}
        try:
            self._show(await registrations.put(caller, wanted, given | kept))
        except (Invalid, UpstreamFailed) as error:
            self.errors = server_form.told(error)
            return None
        return [close_dialog("edit-server"), rx.toast.success("Saved.")]

    @rx.event
    async def remove(self):
        """Forget the server."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await mcp_servers.remove(session, caller, named(self, "tools"))
        return [rx.redirect(f"/p/{caller.project_id}/tools"), rx.toast.success("Forgotten.")]

    async def _show_anew(self, caller: Caller, wanted: str) -> None:
        async with transaction(caller.tenancy) as session:
            self._show(await mcp_servers.find(session, caller, wanted))

    def _show(self, server: McpServer) -> None:
        self.id, self.name, self.state = server.id, server.name, server.status
        self.stands, self.provider = server_form.stands(server), server.provider or ""
        self.tools = [ToolRow.of(tool) for tool in server.tools]
        self.lists = server.tool_allowlist is not None
        self.discovery_error, self.call_error = server.discovery_error or "", server.last_call_error or ""
        self.call_error_at, self.refreshed = moment(server.last_call_error_at), moment(server.tools_refreshed_at)
        self.created, self.errors, self.loaded = moment(server.created_at), {}, True


@page("/p/[project]/tools/[server]", title="Server", on_load=ToolServer.load)
def tool_server() -> rx.Component:
    return rx.cond(
        ToolServer.loaded & is_at(ToolServer.name),
        rx.fragment(
            _top(), split(rx.el.div(_trouble(), _tools(), class_name="stack wide-gap tab"), _facts()), _dialogs()
        ),
        skeleton(),
    )


def _top() -> rx.Component:
    deeds = [
        button("Refresh", icon="refresh-cw", on_click=ToolServer.refresh),
        button("Edit", on_click=ToolServer.edit),
        button("Remove", kind="danger", opens="remove-server"),
    ]
    return rx.el.div(
        link("Tools", href=f"/p/{Session.project_id}/tools", class_name="crumb"),
        one_thing(
            ToolServer.name,
            ToolServer.id,
            code_button(),
            *(rx.cond(Session.manages, deed) for deed in deeds),
            status=ToolServer.state,
        ),
    )


def _trouble() -> rx.Component:
    call = rx.el.p("The last call that failed, ", relative_time(ToolServer.call_error_at), ": ", ToolServer.call_error)
    told = rx.el.p("It did not tell its tools: ", ToolServer.discovery_error, ".")
    return rx.fragment(
        rx.cond(ToolServer.discovery_error != "", rx.el.div(told, class_name="notice red", role="status")),
        rx.cond(ToolServer.call_error != "", rx.el.div(call, class_name="notice red", role="status")),
    )


def _tools() -> rx.Component:
    every = rx.cond(
        ToolServer.lists,
        rx.el.p(
            "Tools that it tells of later are not allowed by themselves. ",
            rx.cond(
                Session.manages, button("Allow all, also later ones", kind="plain", on_click=ToolServer.allow("", True))
            ),
            class_name="muted",
        ),
        rx.el.p("Tools that it tells of later are allowed too.", class_name="muted"),
    )
    return section(
        "Tools",
        "As the server describes them. A call that is gated waits for a person, who sees its arguments.",
        list_table(
            ["Tool", "What it does", "Allowed", "Waits for a person"],
            ToolServer.tools,
            _cells,
            label="Tools",
            empty=rx.el.p("It has told of no tools yet.", class_name="muted none-match"),
        ),
        every,
    )


def _cells(row: ToolRow) -> list[Any]:
    return [
        rx.el.code(row.name),
        rx.el.span(row.about, class_name="muted clip wide", title=row.about),
        _switch(row.allowed, ~Session.manages, f"Allow {row.name}", ToolServer.allow(row.name, ~row.allowed)),
        rx.el.div(
            _switch(
                row.gated,
                ~Session.manages | (row.fixed != ""),
                f"Have calls of {row.name} wait for a person",
                ToolServer.gate(row.name, ~row.gated),
            ),
            rx.cond(row.fixed != "", rx.el.span(row.fixed, class_name="muted small")),
            class_name="row",
        ),
    ]


def _switch(on: Any, disabled: Any, label: Any, on_change: Any) -> rx.Component:
    box = rx.el.input(
        type="checkbox", role="switch", checked=on, disabled=disabled, aria_label=label, on_change=lambda _: on_change
    )
    return rx.el.span(box, class_name="switch")


def _facts() -> rx.Component:
    kind = rx.match(
        ToolServer.stands["kind"],
        ("bearer", "a secret"),
        ("oauth", f"the person's account with {ToolServer.provider}"),
        ("registered", f"the person's account with {ToolServer.provider}, where we registered by ourselves"),
        "nothing",
    )
    return facts(
        ("Address", rx.el.code(ToolServer.stands["url"], class_name="break")),
        ("It is shown", kind),
        ("Tools told", relative_time(ToolServer.refreshed)),
        ("Added", relative_time(ToolServer.created)),
    )


def _dialogs() -> rx.Component:
    path = f"/v1/tenant/mcp/{ToolServer.name}"
    return rx.fragment(
        server_form.dialog("edit-server", ToolServer.stands, ToolServer.errors, ToolServer.change, is_new=False),
        confirm(
            "remove-server",
            f"Remove {ToolServer.name}",
            f"Smiths lose its {ToolServer.tools.length()} tools at once, and its secret is forgotten.",
            deed="Remove the server",
            on_confirm=ToolServer.remove,
        ),
        code_drawer(
            ("Show it", curl("GET", Session.address, path)),
            ("Have it tell its tools anew", curl("POST", Session.address, f"{path}/refresh")),
            ("Remove it", curl("DELETE", Session.address, path)),
        ),
    )
