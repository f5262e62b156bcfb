"""A smith's tokens: keys that are safe in one person's browser, made here, shown once, revoked here."""

from typing import Any

import reflex as rx
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.console.address import asked, named, place_of
from ingram_app.console.dialogs import form_dialog
from ingram_app.console.lists import empty
from ingram_app.console.looks import alert, button, field
from ingram_app.console.minting import Minting, terms, token_dialogs, token_table
from ingram_app.console.session import Session
from ingram_app.domain import smiths, tokens
from ingram_app.domain.access import PERMISSIONS, Caller
from ingram_app.domain.paging import Page
from ingram_app.domain.tokens import Kind, Minted, Token

_HOUR = 60 * 60
_LIFETIMES = [(str(hours * _HOUR), f"{hours} hours" if hours > 1 else "1 hour") for hours in (1, 8, 24)]
_USUAL = frozenset({"runs:read", "runs:write"})
"""What talking to the smith takes."""


class SmithTokens(Minting, rx.State):
    async def _browse(self, session: AsyncSession, caller: Caller) -> Page[Token] | None:
        if asked(self, "tab") != "tokens":
            return None
        clone = await smiths.find(session, caller, named(self, "smiths"))
        return await tokens.browse(session, caller, place_of(self), smith_id=clone.smith.id)

    async def _mint(self, session: AsyncSession, caller: Caller, form: dict[str, Any]) -> Minted:
        """Make a token that may do what was ticked."""
        return await smiths.mint_token(
            session,
            caller,
            kind=Kind.smith,
            smith_id=named(self, "smiths"),
            permissions=[permission for permission in sorted(PERMISSIONS) if permission in form],
            **terms(form),
        )


def tab() -> rx.Component:
    """The tokens, and the button that makes one."""
    make = rx.cond(Session.manages, button("New token", icon="plus", opens="new-token"))
    return rx.el.div(
        rx.cond(SmithTokens.rows.length() > 0, rx.el.div(make, class_name="row end")),
        token_table(
            SmithTokens,
            ("May", lambda row: rx.el.span(row.may, class_name="clip wide", title=row.may)),
            label="Tokens",
            empty=empty(
                "No tokens yet",
                "With one of its own, this person's browser or app talks to this smith and to no other.",
                make,
            ),
        ),
        class_name="stack",
    )


def dialogs() -> rx.Component:
    """What asks for a token's terms, shows it, and asks before it is revoked."""
    return rx.fragment(
        form_dialog(
            "new-token",
            "New token",
            "For the browser or app of this one person. What it is not given, it can not do.",
            field("name", "Name", id="token-name", help="Where it will be used. Optional.", max_length=200),
            rx.el.fieldset(
                rx.el.legend("It may"),
                *(_permission(permission) for permission in sorted(PERMISSIONS, key=_usual_first)),
                class_name="ticks",
            ),
            field("lifetime", "Lifetime", id="token-lifetime", kind="select", options=_LIFETIMES),
            alert(SmithTokens.error),
            deed="Create token",
            on_submit=SmithTokens.mint,
        ),
        token_dialogs(SmithTokens, "token", "Hand it to this person's browser or app."),
    )


def _permission(permission: str) -> rx.Component:
    ticked = {"default_checked": True} if permission in _USUAL else {}
    return rx.el.label(
        rx.el.input(type="checkbox", name=permission, **ticked), rx.el.code(permission), class_name="tick"
    )


def _usual_first(permission: str) -> tuple[bool, bool, str]:
    """Order permissions: those of each noun side by side, the one that is alone of its noun at the end."""
    return permission not in _USUAL, permission == "embeddings:write", permission
