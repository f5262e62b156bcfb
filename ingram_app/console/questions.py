"""What a tool's server wants to know from a person in the middle of a call: read, and asked field by field."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import reflex as rx

from ingram_app.console.figures import legible

_KINDS = {"boolean": "checkbox", "integer": "number", "number": "number"}
_MOST = 30


@dataclass
class Blank:
    """One thing to be filled in."""

    name: str
    label: str
    about: str
    kind: str
    """An input's type, or `select`."""
    options: list[str]
    required: bool


def message(elicitation: dict[str, Any] | None) -> str:
    """Return the question, empty when there is none."""
    return legible(str((elicitation or {}).get("message") or "It wants to know something.")) if elicitation else ""


def page(elicitation: dict[str, Any] | None) -> str:
    """Return the page that a person has to visit, as far as one may be sent there."""
    url = str((elicitation or {}).get("url") or "")
    return url if url.isascii() and urlsplit(url).scheme in ("https", "http") else ""


def blanks(elicitation: dict[str, Any] | None) -> list[Blank]:
    """Return what is to be filled in. MCP asks for flat objects of plain values only."""
    schema = (elicitation or {}).get("requestedSchema") or {}
    required = schema.get("required") or []
    return [
        Blank(
            name=name,
            label=legible(str(asked.get("title") or name)),
            about=legible(str(asked.get("description") or "")),
            kind="select" if asked.get("enum") else _KINDS.get(str(asked.get("type")), "text"),
            options=[str(one) for one in asked.get("enum") or []],
            required=name in required and asked.get("type") != "boolean",
        )
        for name, asked in list((schema.get("properties") or {}).items())[:_MOST]
        if isinstance(asked, dict)
    ]


def content(elicitation: dict[str, Any] | None, form: dict[str, Any]) -> dict[str, Any] | None:
    """Return what was filled in, as the question wants it; none, when it asks for nothing."""
    asked = blanks(elicitation)
    if not asked:
        return None
    said = {blank.name: _value(blank, form.get(f"answer {blank.name}")) for blank in asked}
    return {name: value for name, value in said.items() if value is not None}


def _value(blank: Blank, said: Any) -> Any:
    if blank.kind == "checkbox":
        return bool(said)
    text = str(said or "").strip()
    if not text:
        return None
    if blank.kind == "number":
        try:
            return int(text) if text.lstrip("-").isdigit() else float(text)
        except ValueError:
            return text  # the schema says what is wrong with it
    return text


def asking(id: Any, question: Any, url: Any, asked: rx.Var[list[Blank]]) -> rx.Component:
    """Put the question; its blanks are fields of the form around."""
    place = rx.el.p("It sends people to ", rx.el.code(url, class_name="break"), ". Go there only if you know it.")
    return rx.fragment(
        rx.el.p(question, class_name="question"),
        rx.cond(url != "", place),
        rx.foreach(asked, lambda blank: _blank(id, blank)),
    )


def _blank(id: Any, blank: Blank) -> rx.Component:
    props: dict[str, Any] = {"id": f"{id}-{blank.name}", "name": f"answer {blank.name}", "class_name": "input"}
    chosen = rx.el.select(
        rx.el.option("", value=""),
        rx.foreach(blank.options, lambda one: rx.el.option(one, value=one)),
        required=blank.required,
        **props,
    )
    field = rx.cond(
        blank.kind == "select",
        chosen,
        rx.el.input(type=blank.kind, step="any", required=blank.required, auto_complete="off", **props),
    )
    return rx.el.div(
        rx.el.label(blank.label, html_for=f"{id}-{blank.name}"),
        field,
        rx.cond(blank.about != "", rx.el.p(blank.about, class_name="help")),
        class_name="field",
    )
