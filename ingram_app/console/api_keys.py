"""API keys: how programs show who they are. Made here, shown once, revoked here."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.address import place_of
from ingram_app.console.dialogs import (
    close_dialog,
    code_button,
    code_drawer,
    confirm,
    curl,
    form_dialog,
    open_dialog,
    secret_once,
)
from ingram_app.console.figures import moment
from ingram_app.console.lists import empty, list_table
from ingram_app.console.looks import badge, button, field, head, relative_time
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid
from ingram_app.domain import tokens
from ingram_app.domain.tokens import Kind, Token

_DAY = 24 * 60 * 60
_LIFETIMES = [("", "Until it is revoked"), *((str(days * _DAY), f"{days} days") for days in (7, 30, 90, 365))]
_KINDS = {Kind.admin: "Admin", Kind.smith: "Smith", Kind.organization: "Organization"}


@dataclass
class KeyRow:
    id: str
    name: str
    kind: str
    prefix: str
    state: str
    created: str
    used: str
    expires: str

    @classmethod
    def of(cls, token: Token) -> "KeyRow":
        return cls(
            id=token.id,
            name=token.name or "Unnamed",
            kind=_KINDS[token.kind],
            prefix=f"{token.prefix}…",
            state=token.state,
            created=moment(token.created_at),
            used=moment(token.last_used_at),
            expires=moment(token.expires_at),
        )


class ApiKeys(rx.State):
    rows: list[KeyRow] = []
    older: str = ""
    loaded: bool = False
    secret: str = ""
    error: str = ""
    chosen_id: str = ""
    chosen_name: str = ""

    @rx.event
    async def load(self):
        """Show a page of keys."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            found = await tokens.browse(session, caller, place_of(self))
        self.rows, self.older = [KeyRow.of(token) for token in found.data], found.next_cursor or ""
        self.secret, self.error, self.loaded = "", "", True

    @rx.event
    async def mint(self, form: dict[str, Any]):
        """Make an admin key and show it, this once."""
        caller = await standing(self)
        name, lifetime = str(form.get("name", "")).strip()[:200], str(form.get("lifetime", ""))
        try:
            async with transaction(caller.tenancy) as session:
                minted = await tokens.mint(
                    session,
                    caller,
                    kind=Kind.admin,
                    name=name or None,
                    ttl_seconds=int(lifetime) if lifetime.isdigit() else None,
                )
        except Invalid as error:
            self.error = error.sentence
            return None
        self.secret, self.error = minted.words, ""
        self.rows = [KeyRow.of(minted.token), *self.rows]
        return [close_dialog("new-key"), open_dialog("key-once")]

    @rx.event
    async def forget(self):
        """The key has been stored."""
        self.secret = ""

    @rx.event
    async def choose(self, token_id: str, name: str):
        """Ask whether this one is to be revoked."""
        self.chosen_id, self.chosen_name = token_id, name
        return open_dialog("revoke-key")

    @rx.event
    async def revoke(self):
        """End the chosen key."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await tokens.revoke(session, caller, self.chosen_id)
        return [ApiKeys.load, rx.toast.success(f"{self.chosen_name} is revoked.")]


@page("/p/[project]/settings/api-keys", title="API keys", on_load=ApiKeys.load)
def api_keys() -> rx.Component:
    make = button("New key", icon="plus", kind="main", opens="new-key")
    return rx.fragment(
        head(
            "API keys",
            "With an admin key a program acts for the whole project: keep it on a server, one for each program.",
            code_button(),
            rx.cond(Session.manages, make),
        ),
        list_table(
            ["Name", "State", "Kind", "Begins with", "Created", "Last used", "Expires", ""],
            ApiKeys.rows,
            _cells,
            label="API keys",
            loaded=ApiKeys.loaded,
            older=ApiKeys.older,
            empty=empty(
                "No keys yet",
                "Your programs need one to call the API. It is shown once, when it is made.",
                rx.cond(Session.manages, button("New key", kind="main", opens="new-key")),
                curl=curl("GET", Session.address, "/v1/tenant/tokens"),
            ),
        ),
        _new_key(),
        secret_once(
            "key-once", "The new key", "Put it where your program reads it.", ApiKeys.secret, on_stored=ApiKeys.forget
        ),
        confirm(
            "revoke-key",
            "Revoke the key",
            f"Whatever uses {ApiKeys.chosen_name} is refused within a second. A revoked key does not come back.",
            deed="Revoke",
            on_confirm=ApiKeys.revoke,
        ),
        _code(),
    )


def _code() -> rx.Component:
    path, body = "/v1/tenant/tokens", '{"scope": "admin", "name": "Nightly import"}'
    return code_drawer(
        ("Make an admin key", curl("POST", Session.address, path, body)),
        ("List keys", curl("GET", Session.address, path)),
        ("Revoke a key", curl("DELETE", Session.address, f"{path}/$TOKEN_ID")),
    )


def _new_key() -> rx.Component:
    return form_dialog(
        "new-key",
        "New key",
        "An admin key of this project.",
        field(
            "name",
            "Name",
            id="key-name",
            help="The program that will use it.",
            error=ApiKeys.error,
            max_length=200,
            required=True,
        ),
        field("lifetime", "Lifetime", id="key-lifetime", kind="select", options=_LIFETIMES),
        deed="Create key",
        on_submit=ApiKeys.mint,
    )


def _cells(row: KeyRow) -> list[rx.Component]:
    revoke = button(
        "Revoke", kind="plain danger", on_click=ApiKeys.choose(row.id, row.name), aria_label=f"Revoke {row.name}"
    )
    return [
        rx.el.strong(row.name),
        badge(row.state),
        row.kind,
        rx.el.code(row.prefix),
        relative_time(row.created),
        rx.cond(row.used != "", relative_time(row.used), "never"),
        rx.cond(row.expires != "", relative_time(row.expires), "–"),
        rx.cond(Session.manages & (row.state == "active"), revoke),
    ]
