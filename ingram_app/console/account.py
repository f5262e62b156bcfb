"""Your account: where you are signed in, and how to end that."""

from dataclasses import dataclass

import reflex as rx

from ingram_app.console.figures import moment
from ingram_app.console.lists import list_table
from ingram_app.console.looks import badge, button, head, relative_time
from ingram_app.console.session import Session, session_of, standing
from ingram_app.console.shell import page
from ingram_app.core.database import transaction
from ingram_app.domain import sessions


@dataclass
class SessionRow:
    id: str
    browser: str
    address: str
    began: str
    used: str
    here: bool

    @classmethod
    def of(cls, seat: sessions.Session, here: str) -> "SessionRow":
        return cls(
            id=seat.id,
            browser=seat.agent or "A browser that does not say which",
            address=seat.address,
            began=moment(seat.created_at),
            used=moment(seat.last_seen_at),
            here=seat.token_hash == here,
        )


class Account(rx.State):
    rows: list[SessionRow] = []
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show where the person is signed in."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            found = await sessions.browse(session, caller)
        self.rows, self.loaded = [SessionRow.of(seat, session_of(self)) for seat in found], True

    @rx.event
    async def revoke(self, session_id: str):
        """Sign out there, in its open tabs too."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await sessions.revoke(session, caller, session_id)
        return Account.load


@page("/account", title="Your account", on_load=Account.load)
def account() -> rx.Component:
    return rx.el.div(
        head(Session.name, Session.email),
        list_table(
            ["Signed in with", "Address", "Since", "Last used", ""],
            Account.rows,
            _cells,
            label="Where you are signed in",
            loaded=Account.loaded,
        ),
        class_name="stack",
    )


def _cells(row: SessionRow) -> list[rx.Component]:
    end = button("Sign out there", kind="plain", on_click=Account.revoke(row.id))
    return [
        rx.el.span(row.browser, class_name="note"),
        rx.el.code(row.address),
        relative_time(row.began),
        relative_time(row.used),
        rx.cond(row.here, badge("this browser"), end),
    ]
