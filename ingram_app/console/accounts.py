"""The accounts that a smith's person has connected, and links to connect more."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.address import asked, named
from ingram_app.console.dialogs import close_dialog, confirm, drawer, open_dialog
from ingram_app.console.figures import moment
from ingram_app.console.lists import list_table
from ingram_app.console.looks import badge, button, copy_button, relative_time
from ingram_app.console.session import Session, standing
from ingram_app.core.database import transaction
from ingram_app.domain import authorizations, connections, credentials, oauth_providers
from ingram_app.domain.access import Caller
from ingram_app.domain.connections import Connection

TAB = "connections"


@dataclass
class AccountRow:
    provider: str
    id: str
    """Empty while the person is not connected."""
    state: str
    scopes: str
    ends: str
    since: str
    trouble: str
    known: bool
    """The project still has the provider."""
    can_refresh: bool = False

    @classmethod
    def of(cls, connection: Connection, *, known: bool) -> "AccountRow":
        return cls(
            provider=connection.provider,
            id=connection.id,
            state=connection.status.value,
            scopes=" ".join(connection.scopes),
            ends=moment(connection.expires_at),
            since=moment(connection.created_at),
            trouble=connection.last_error or "",
            known=known,
            can_refresh=connection.can_refresh,
        )


NONE = AccountRow("", "", "", "", "", "", "", False)


class Accounts(rx.State):
    rows: list[AccountRow] = []
    chosen: AccountRow = NONE
    link: str = ""
    """The last that was made."""

    @rx.event
    async def load(self):
        """Show the connections of the smith that the address names, and what it could connect with."""
        caller = await standing(self)
        self.link = ""
        if asked(self, "tab") == TAB:
            await self._show(caller)

    @rx.event
    async def connect(self, provider: str):
        """Make a link at which the person consents."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            self.link = await authorizations.begin(session, caller, named(self, "smiths"), provider)
        self.chosen = next((row for row in self.rows if row.provider == provider), NONE)
        return open_dialog("consent-link")

    @rx.event
    async def refresh(self, connection_id: str):
        """Have the service give fresh tokens."""
        caller = await standing(self)
        try:
            await credentials.refresh(caller, named(self, "smiths"), connection_id)
        finally:
            await self._show(caller)
        return rx.toast.success("Its tokens are fresh.")

    @rx.event
    async def choose(self, provider: str):
        """Ask before a connection is taken back."""
        await standing(self)
        self.chosen = next((row for row in self.rows if row.provider == provider), NONE)
        return open_dialog("disconnect")

    @rx.event
    async def disconnect(self):
        """Take the chosen connection back."""
        caller = await standing(self)
        await credentials.disconnect(caller, named(self, "smiths"), self.chosen.id)
        await self._show(caller)
        return [close_dialog("disconnect"), rx.toast.success("Disconnected.")]

    async def _show(self, caller: Caller) -> None:
        async with transaction(caller.tenancy) as session:
            found = await connections.browse(session, caller, named(self, "smiths"))
            known = [row.provider for row in await oauth_providers.browse(session, caller)]
        held = [AccountRow.of(connection, known=connection.provider in known) for connection in found]
        missing = [name for name in known if name not in {row.provider for row in held}]
        self.rows = held + [AccountRow(name, "", "not connected", "", "", "", "", True) for name in missing]


def accounts() -> rx.Component:
    """The tab of the smith's page."""
    return rx.fragment(
        rx.el.div(
            rx.el.p("Accounts of this smith's person in other services. Their tokens are sealed.", class_name="muted"),
            list_table(
                ["Service", "State", "May", "Connected", "Token ends", ""],
                Accounts.rows,
                _cells,
                label="Connections",
                empty=rx.el.p(
                    "The project has no service to connect with yet. They are set up under Tools.",
                    class_name="muted none-match",
                ),
            ),
            class_name="stack",
        ),
        drawer(
            "consent-link",
            f"Connect with {Accounts.chosen.provider}",
            "Give it to the person of this smith, and to nobody else: the account of whoever consents there becomes"
            " this smith's. It holds for ten minutes, and once.",
            rx.el.div(
                rx.el.code(Accounts.link, class_name="break"),
                copy_button(Accounts.link, "Copy the link"),
                class_name="secret",
            ),
        ),
        confirm(
            "disconnect",
            f"Disconnect {Accounts.chosen.provider}",
            "Its tokens are taken back at the service, where that offers it, and forgotten. The smith goes on without"
            " the tools that need them until its person consents again.",
            deed="Disconnect",
            on_confirm=Accounts.disconnect,
        ),
    )


def _cells(row: AccountRow) -> list[Any]:
    connect = button(
        rx.cond(row.id != "", "Connect again", "Connect"),
        kind="plain",
        on_click=Accounts.connect(row.provider),
        aria_label=f"Connect with {row.provider}",
    )
    refresh = button("Refresh", kind="plain", on_click=Accounts.refresh(row.id), aria_label=f"Refresh {row.provider}")
    disconnect = button(
        "Disconnect",
        kind="plain danger",
        on_click=Accounts.choose(row.provider),
        aria_label=f"Disconnect {row.provider}",
    )
    deeds = rx.el.div(
        rx.cond(row.known, connect),
        rx.cond(row.can_refresh, refresh),
        rx.cond(row.id != "", disconnect),
        class_name="row end",
    )
    return [
        rx.el.strong(row.provider),
        rx.el.span(badge(row.state), title=row.trouble),
        rx.el.span(row.scopes, class_name="clip", title=row.scopes),
        relative_time(row.since),
        relative_time(row.ends),
        rx.cond(Session.builds, deeds),
    ]
