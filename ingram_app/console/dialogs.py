"""Dialogs: the browser's own, opened by `opens="<id>"` on any button. Escape closes, focus comes back."""

import json
from typing import Any

import reflex as rx
from reflex.event import EventSpec

from ingram_app.console.looks import Text, button, code, copy_button


def _dialog(id: str, title: Text, about: Text, *body: rx.Component, **props: Any) -> rx.Component:
    """A dialog; inside, a button with `closes=id` closes it."""
    return rx.el.dialog(
        rx.el.h2(title, id=f"{id}-title"),
        rx.el.p(about, class_name="about"),
        *body,
        id=id,
        aria_labelledby=f"{id}-title",
        **props,
    )


def open_dialog(id: str) -> EventSpec:
    """Open a dialog from a handler."""
    return rx.call_script(f"ic.open({json.dumps(id)})")


def close_dialog(id: str) -> EventSpec:
    """Close a dialog from a handler."""
    return rx.call_script(f"ic.close({json.dumps(id)})")


def form_dialog(id: str, title: Text, about: Text, *fields: rx.Component, deed: Text, on_submit: Any) -> rx.Component:
    """A dialog that asks for `fields` and hands them to `on_submit`; the handler closes it when all is well."""
    form = rx.el.form(*fields, _deeds(id, button(deed, kind="main", type="submit")), on_submit=on_submit)
    return _dialog(id, title, about, form)


def confirm(id: str, title: Text, loss: Text, *, deed: Text, on_confirm: Any) -> rx.Component:
    """Ask before something that can be put right again by hand; `loss` says what ends."""
    return _dialog(id, title, loss, _deeds(id, button(deed, kind="danger main", on_click=on_confirm, closes=id)))


def confirm_by_name(id: str, title: Text, loss: Text, *, name: Text, deed: Text, on_confirm: Any) -> rx.Component:
    """Ask before something that can not be undone: the name has to be typed. `loss` says what is lost, with numbers.

    `on_confirm` gets the form, `{"name": …}`, and compares it once more.
    """
    typed = rx.el.div(
        rx.el.label("Type ", rx.el.code(name), " to confirm", html_for=f"{id}-name"),
        rx.el.input(
            id=f"{id}-name",
            name="name",
            class_name="input",
            auto_complete="off",
            custom_attrs={"data-unlocks": name},
        ),
        class_name="field",
    )
    sure = button(deed, kind="danger main", type="submit", id=f"{id}-sure", disabled=True)
    sure.custom_attrs["data-locked"] = ""
    return _dialog(id, title, loss, rx.el.form(typed, _deeds(id, sure), on_submit=on_confirm))


def secret_once(id: str, title: Text, about: Text, secret: rx.Var[str], *, on_stored: Any) -> rx.Component:
    """Show a secret this once. Open it with `open_dialog(id)`; Escape does not close it. `on_stored` forgets it."""
    return _dialog(
        id,
        title,
        about,
        rx.el.div(
            shown_secret(secret),
            rx.el.p("It is not kept and can not be shown again.", class_name="help small muted"),
            rx.el.div(button("I have stored it", kind="main", closes=id, on_click=on_stored), class_name="deeds"),
            class_name="stack",
            custom_attrs={"data-keep": ""},
        ),
    )


def shown_secret(secret: rx.Var[str]) -> rx.Component:
    """A secret in full, with a button that copies it."""
    return rx.el.div(rx.el.code(secret), copy_button(secret, "Copy the secret"), class_name="secret")


def code_drawer(*calls: tuple[str, Text]) -> rx.Component:
    """The API calls that do what this page does: `calls` are (what it does, the curl). Goes with `code_button()`."""
    return drawer(
        "code",
        "Code",
        "What this page does, by API. Put a key into TOKEN first.",
        *(rx.el.div(rx.el.h3(what), code(call, what), class_name="stack tight") for what, call in calls),
    )


def drawer(id: str, title: Text, about: Text, *body: rx.Component) -> rx.Component:
    """Something to look at, at the right of the page; nothing is asked."""
    return _dialog(id, title, about, rx.el.div(*body, _deeds(id), class_name="stack"), class_name="drawer")


def code_button() -> rx.Component:
    """The button that opens the page's `code_drawer`."""
    return button("Code", icon="code", opens="code")


def curl(method: str, address: Text, path: Text, body: str = "", *, token: Text = "$TOKEN") -> rx.Var[str]:
    """Return the curl command of a call; `body` is JSON."""
    head = "curl" if method == "GET" else f"curl -X {method}"
    if '"stream": true' in body:
        head += " -N"
    text = rx.Var.create(f'{head} {address}{path} \\\n  -H "Authorization: Bearer {token}"').to(str)
    if body:
        text = text + f" \\\n  -H 'Content-Type: application/json' \\\n  -d '{body}'"
    return text


def _deeds(id: str, *deeds: rx.Component) -> rx.Component:
    return rx.el.div(button("Cancel" if deeds else "Close", kind="plain", closes=id), *deeds, class_name="deeds")
