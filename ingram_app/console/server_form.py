"""The dialog about an MCP server: where it is, and what it is shown."""

from typing import Any

import reflex as rx

from ingram_app.console.dialogs import curl, form_dialog
from ingram_app.console.looks import field
from ingram_app.console.session import Session
from ingram_app.core.errors import IngramError
from ingram_app.domain.mcp_servers import McpServer

BLANK = {"name": "", "url": "", "kind": "none", "provider": ""}
_NAME = "a-z, 0-9, - and _. It stands before a tool's name where two would be called the same."
_ADDRESS = "Streamable HTTP. Calls to it are signed; the guide of the API says how to verify them."
_KINDS = [
    ("none", "Nothing"),
    ("bearer", "A secret"),
    ("registered", "The account of the smith's person; we register by ourselves"),
    ("oauth", "The account of the smith's person, with a service under Accounts"),
]


def wished(slug: str, url: str, kind: str) -> dict[str, str]:
    """Return what stands in the form for a server of the catalog."""
    return BLANK | {"name": slug, "url": url, "kind": kind}


def stands(server: McpServer) -> dict[str, str]:
    """Return what stands in the form for a server that there is."""
    kind = "registered" if server.client_mode == "platform" else server.auth_kind
    provider = "" if kind == "registered" else server.provider or ""
    return {"name": server.name, "url": server.url, "kind": kind, "provider": provider}


def read(form: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a server's name and what is given of it."""
    said = {name: str(form.get(name, "")).strip() for name in (*BLANK, "secret")}
    auth = {"kind": said["kind"] if said["kind"] in ("bearer", "oauth") else "none"}
    if said["kind"] == "registered":
        auth = {"kind": "oauth", "client_mode": "platform"}
    if auth["kind"] == "bearer" and said["secret"]:
        auth["secret"] = said["secret"]
    if said["kind"] == "oauth":
        auth["provider"] = said["provider"]
    return said["name"], {"url": said["url"], "auth": auth}


def told(error: IngramError) -> dict[str, str]:
    """Return an error at its field."""
    at = (error.param or "url").rpartition(".")[2]
    return {"kind" if at == "client_mode" else at: error.sentence}


def dialog(
    id: str, stands: rx.Var[dict[str, str]], errors: rx.Var[dict[str, str]], on_submit: Any, *, is_new: bool = True
) -> rx.Component:
    """Ask for a server; its name stays once it is registered."""

    def one(name: str, label: str, help: str, **props: Any) -> rx.Component:
        error = rx.cond(errors.contains(name), errors[name], "")
        shown = {} if name == "secret" else {"default_value": stands[name]}
        return field(name, label, help=help, error=error, id=f"{id}-{name}", **shown | {"auto_complete": "off"} | props)

    fields = [
        one("url", "Address", _ADDRESS, required=True, placeholder="https://tools.example.com/mcp"),
        one("kind", "What it is shown", "", kind="select", options=_KINDS),
        one("secret", "Secret", "Sent as a bearer token. Sealed; empty keeps the one that is there.", kind="password"),
        one("provider", "Service of the account", "Only with a service under Accounts: its name, such as github."),
    ]
    if is_new:
        fields.insert(0, one("name", "Name", _NAME, required=True, max_length=63))
    return form_dialog(
        id,
        "Add a server" if is_new else "Edit the server",
        "It is asked for its tools at once. It is told what smiths ask it: add only those you trust.",
        rx.el.div(*fields, key=stands.to_string(), class_name="stack credential"),
        deed="Add" if is_new else "Save",
        on_submit=on_submit,
    )


def example() -> rx.Var[str]:
    """Return the call that registers a server."""
    return curl("PUT", Session.address, "/v1/tenant/mcp/orders", '{"url": "https://tools.example.com/mcp"}')
