"""A smith's tokens: keys that are safe in one person's browser, made here, shown once, revoked here."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.address import asked, named, place_of
from ingram_app.console.dialogs import close_dialog, confirm, form_dialog, open_dialog, secret_once
from ingram_app.console.figures import moment
from ingram_app.console.lists import empty, list_table
from ingram_app.console.looks import badge, button, field, relative_time
from ingram_app.console.session import Session, standing
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.domain import smiths, tokens
from ingram_app.domain.access import PERMISSIONS
from ingram_app.domain.tokens import Kind, Token

_HOUR = 60 * 60
_LIFETIMES = [(str(hours * _HOUR), f"{hours} hours" if hours > 1 else "1 hour") for hours in (1, 8, 24)]
_USUAL = frozenset({"runs:read", "runs:write"})
"""What talking to the smith takes."""


@dataclass
class TokenRow:
    id: str
    name: str
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
            state=token.state,
            may=", ".join(token.scopes),
            created=moment(token.created_at),
            used=moment(token.last_used_at),
            expires=moment(token.expires_at),
        )


class SmithTokens(rx.State):
    rows: list[TokenRow] = []
    older: str = ""
    secret: str = ""
    error: str = ""
    chosen_id: str = ""
    chosen_name: str = ""

    @rx.event
    async def load(self):
        """Show a page of the tokens of the smith that the address names."""
        caller = await standing(self)
        if asked(self, "tab") != "tokens":
            return
        try:
            async with transaction(caller.tenancy) as session:
                clone = await smiths.find(session, caller, named(self, "smiths"))
                found = await tokens.browse(session, caller, place_of(self), smith_id=clone.smith.id)
        except NotFound:
            return self.reset()  # the page says so
        self.rows, self.older = [TokenRow.of(token) for token in found.data], found.next_cursor or ""
        self.secret = self.error = ""

    @rx.event
    async def mint(self, form: dict[str, Any]):
        """Make a token that may do what was ticked, and show it, this once."""
        caller = await standing(self)
        name, lifetime = str(form.get("name", "")).strip()[:200], str(form.get("lifetime", ""))
        try:
            async with transaction(caller.tenancy) as session:
                minted = await smiths.mint_token(
                    session,
                    caller,
                    kind=Kind.smith,
                    smith_id=named(self, "smiths"),
                    permissions=[permission for permission in sorted(PERMISSIONS) if permission in form],
                    ttl_seconds=int(lifetime) if lifetime.isdecimal() and len(lifetime) < 10 else None,
                    name=name or None,
                )
        except Invalid as error:
            self.error = error.sentence
            return None
        self.secret, self.error = minted.words, ""
        self.rows = [TokenRow.of(minted.token), *self.rows]
        return [close_dialog("new-token"), open_dialog("token-once")]

    @rx.event
    async def forget(self):
        """The token has been stored."""
        self.secret = ""

    @rx.event
    async def choose(self, token_id: str, name: str):
        """Ask whether this one is to be revoked."""
        self.chosen_id, self.chosen_name = token_id, name
        return open_dialog("revoke-token")

    @rx.event
    async def revoke(self):
        """End the chosen token."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await tokens.revoke(session, caller, self.chosen_id)
        return [SmithTokens.load, rx.toast.success(f"{self.chosen_name} is revoked.")]


def tab() -> rx.Component:
    """The tokens, and the button that makes one."""
    make = rx.cond(Session.manages, button("New token", icon="plus", opens="new-token"))
    return rx.el.div(
        rx.cond(SmithTokens.rows.length() > 0, rx.el.div(make, class_name="row end")),
        list_table(
            ["Name", "State", "May", "Created", "Last used", "Expires", ""],
            SmithTokens.rows,
            _cells,
            label="Tokens",
            older=SmithTokens.older,
            empty=empty(
                "No tokens yet",
                "With one of its own, this person's browser or app talks to this smith and to no other.",
                make,
            ),
        ),
        class_name="stack",
    )


def _cells(row: TokenRow) -> list[Any]:
    revoke = button(
        "Revoke",
        kind="plain danger slim",
        on_click=SmithTokens.choose(row.id, row.name),
        aria_label=f"Revoke {row.name}",
    )
    return [
        rx.el.strong(row.name),
        badge(row.state),
        rx.el.span(row.may, class_name="clip wide", title=row.may),
        relative_time(row.created),
        rx.cond(row.used != "", relative_time(row.used), "never"),
        relative_time(row.expires),
        rx.cond(Session.manages & (row.state == "active"), revoke),
    ]


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
            rx.cond(SmithTokens.error != "", rx.el.p(SmithTokens.error, class_name="notice red", role="alert")),
            deed="Create token",
            on_submit=SmithTokens.mint,
        ),
        secret_once(
            "token-once",
            "The new token",
            "Hand it to this person's browser or app.",
            SmithTokens.secret,
            on_stored=SmithTokens.forget,
        ),
        confirm(
            "revoke-token",
            "Revoke the token",
            f"Whatever uses {SmithTokens.chosen_name} is refused within a second. A revoked token does not come back.",
            deed="Revoke",
            on_confirm=SmithTokens.revoke,
        ),
    )


def _permission(permission: str) -> rx.Component:
    ticked = {"default_checked": True} if permission in _USUAL else {}
    return rx.el.label(
        rx.el.input(type="checkbox", name=permission, **ticked), rx.el.code(permission), class_name="tick"
    )


def _usual_first(permission: str) -> tuple[bool, bool, str]:
    """Order permissions: those of each noun side by side, the one that is alone of its noun at the end."""
    return permission not in _USUAL, permission == "embeddings:write", permission
