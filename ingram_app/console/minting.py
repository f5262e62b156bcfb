"""Keys and tokens: made as a form says, shown once, listed and revoked. What the pages of both do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import reflex as rx
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.console.dialogs import close_dialog, confirm, open_dialog, secret_once
from ingram_app.console.figures import moment, whole
from ingram_app.console.lists import list_table
from ingram_app.console.looks import badge, button, relative_time
from ingram_app.console.session import Session, standing
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.domain import tokens
from ingram_app.domain.access import Caller
from ingram_app.domain.paging import Page
from ingram_app.domain.tokens import Kind, Minted, Token

_KINDS = {Kind.admin: "Admin", Kind.smith: "Smith", Kind.organization: "Organization"}


@dataclass
class TokenRow:
    id: str
    name: str
    kind: str
    prefix: str
    state: str
    may: str
    created: str
    used: str
    expires: str

    @classmethod
    def of(cls, token: Token) -> "TokenRow":
        return cls(
            id=token.id,
            name=token.name or "Unnamed",
            kind=_KINDS[token.kind],
            prefix=f"{token.prefix}…",
            state=token.state,
            may=", ".join(token.scopes),
            created=moment(token.created_at),
            used=moment(token.last_used_at),
            expires=moment(token.expires_at),
        )


class Minting(rx.State, mixin=True):
    """A page says by `_browse` which tokens it shows, and by `_mint` what it makes."""

    rows: list[TokenRow] = []
    older: str = ""
    loaded: bool = False
    secret: str = ""
    error: str = ""
    chosen_id: str = ""
    chosen_name: str = ""

    @rx.event
    async def load(self):
        """Show a page of them."""
        caller = await standing(self)
        try:
            async with transaction(caller.tenancy) as session:
                found = await self._browse(session, caller)
        except NotFound:
            return self.reset()  # the page says so
        if found is not None:
            self.rows, self.older = [TokenRow.of(token) for token in found.data], found.next_cursor or ""
            self.secret, self.error, self.loaded = "", "", True

    @rx.event
    async def mint(self, form: dict[str, Any]):
        """Make one as the form says, and show it, this once."""
        caller = await standing(self)
        try:
            async with transaction(caller.tenancy) as session:
                minted = await self._mint(session, caller, form)
        except Invalid as error:
            self.error = error.sentence
            return None
        self.secret, self.error = minted.words, ""
        self.rows = [TokenRow.of(minted.token), *self.rows]
        return [close_dialog("new-token"), open_dialog("token-once")]

    @rx.event
    async def forget(self):
        """It has been stored."""
        await standing(self)
        self.secret = ""

    @rx.event
    async def choose(self, token_id: str, name: str):
        """Ask whether this one is to be revoked."""
        await standing(self)
        self.chosen_id, self.chosen_name = token_id, name
        return open_dialog("revoke-token")

    @rx.event
    async def revoke(self):
        """End the chosen one."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await tokens.revoke(session, caller, self.chosen_id)
        return [type(self).load, rx.toast.success(f"{self.chosen_name} is revoked.")]

    async def _browse(self, session: AsyncSession, caller: Caller) -> Page[Token] | None:
        """Return the page of tokens that the address asks for, `None` when it asks for none."""
        raise NotImplementedError

    async def _mint(self, session: AsyncSession, caller: Caller, form: dict[str, Any]) -> Minted:
        raise NotImplementedError


def terms(form: dict[str, Any]) -> dict[str, Any]:
    """Return the name and the lifetime that a form asks for. A lifetime that is no number is none that there can be."""
    lifetime = str(form.get("lifetime", ""))
    return {
        "name": str(form.get("name", "")).strip()[:200] or None,
        "ttl_seconds": (whole(lifetime) or 0) if lifetime else None,
    }


def token_table(
    page: type[Minting], *own: tuple[str, Callable[[TokenRow], Any]], label: str, empty: rx.Component
) -> rx.Component:
    """The list; `own` are the columns of this page alone, with what stands in their cells."""

    def cells(row: TokenRow) -> list[Any]:
        revoke = button(
            "Revoke", kind="plain danger slim", on_click=page.choose(row.id, row.name), aria_label=f"Revoke {row.name}"
        )
        return [
            rx.el.strong(row.name),
            badge(row.state),
            *(cell(row) for _, cell in own),
            relative_time(row.created),
            rx.cond(row.used != "", relative_time(row.used), "never"),
            rx.cond(row.expires != "", relative_time(row.expires), "–"),
            rx.cond(Session.manages & (row.state == "active"), revoke),
        ]

    return list_table(
        ["Name", "State", *(name for name, _ in own), "Created", "Last used", "Expires", ""],
        page.rows,
        cells,
        label=label,
        loaded=page.loaded,
        older=page.older,
        empty=empty,
    )


def token_dialogs(page: type[Minting], noun: str, use: str) -> rx.Component:
    """What shows a new one, with its use, and asks before one is revoked. `new-token` is the page's own."""
    return rx.fragment(
        secret_once("token-once", f"The new {noun}", use, page.secret, on_stored=page.forget),
        confirm(
            "revoke-token",
            f"Revoke the {noun}",
            f"Whatever uses {page.chosen_name} is refused within a second. A revoked {noun} does not come back.",
            deed="Revoke",
            on_confirm=page.revoke,
        ),
    )
