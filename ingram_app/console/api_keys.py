"""API keys: how programs show who they are. Made here, shown once, revoked here."""

from typing import Any

import reflex as rx
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.console.address import place_of
from ingram_app.console.dialogs import code_button, code_drawer, curl, form_dialog
from ingram_app.console.lists import empty
from ingram_app.console.looks import button, field, head
from ingram_app.console.minting import Minting, terms, token_dialogs, token_table
from ingram_app.console.session import Session
from ingram_app.console.shell import page
from ingram_app.domain import tokens
from ingram_app.domain.access import Caller
from ingram_app.domain.paging import Page
from ingram_app.domain.tokens import Kind, Minted, Token

_DAY = 24 * 60 * 60
_LIFETIMES = [("", "Until it is revoked"), *((str(days * _DAY), f"{days} days") for days in (7, 30, 90, 365))]


class ApiKeys(Minting, rx.State):
    async def _browse(self, session: AsyncSession, caller: Caller) -> Page[Token]:
        return await tokens.browse(session, caller, place_of(self))

    async def _mint(self, session: AsyncSession, caller: Caller, form: dict[str, Any]) -> Minted:
        return await tokens.mint(session, caller, kind=Kind.admin, **terms(form))


@page("/p/[project]/settings/api-keys", title="API keys", on_load=ApiKeys.load)
def api_keys() -> rx.Component:
    make = button("New key", icon="plus", kind="main", opens="new-token")
    return rx.fragment(
        head(
            "API keys",
            "With an admin key a program acts for the whole project: keep it on a server, one for each program.",
            code_button(),
            rx.cond(Session.manages, make),
        ),
        token_table(
            ApiKeys,
            ("Kind", lambda row: row.kind),
            ("Begins with", lambda row: rx.el.code(row.prefix)),
            label="API keys",
            empty=empty(
                "No keys yet",
                "Your programs need one to call the API. It is shown once, when it is made.",
                rx.cond(Session.manages, button("New key", kind="main", opens="new-token")),
                curl=curl("GET", Session.address, "/v1/tenant/tokens"),
            ),
        ),
        _new_key(),
        token_dialogs(ApiKeys, "key", "Put it where your program reads it."),
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
        "new-token",
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
