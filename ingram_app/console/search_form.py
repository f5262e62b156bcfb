"""Whom a project's smiths ask when they search the web: the line that says so, and the dialog that changes it."""

from dataclasses import dataclass
from typing import Any, get_args

import reflex as rx

from ingram_app.console.dialogs import form_dialog
from ingram_app.console.looks import button, field
from ingram_app.console.session import Session
from ingram_app.domain.searches import Holding, Provider

_INHERITED = "platform"
_NAMES = {"brave": "Brave", "tavily": "Tavily", "searxng": "SearXNG"}
_LABELS = _NAMES | {"searxng": "A SearXNG of your own", "none": "Nobody"}


@dataclass
class SearchRow:
    chosen: str
    """The project's own choice, or `platform` for that of the installation."""
    url: str
    said: str

    @property
    def is_own(self) -> bool:
        return self.chosen != _INHERITED

    @classmethod
    def of(cls, holding: Holding) -> "SearchRow":
        own = holding.source == "project"
        if not holding.available:
            why = "this project has switched it off" if own else "this installation has no search service"
            said = f"Nobody is asked: {why}."
        else:
            whose = "this project chose" if own else "this installation has it"
            said = f"{_NAMES[holding.provider]} is asked, as {whose}."
        return cls(holding.provider if own else _INHERITED, holding.url or "", said)


UNKNOWN = SearchRow("", "", "")


def read(form: dict[str, Any]) -> tuple[Provider | None, dict[str, Any]]:
    """Return the chosen service, none for that of the installation, and what is given of it."""
    said = {name: str(form.get(name, "")).strip() or None for name in ("provider", "api_key", "url")}
    provider: Any = said["provider"] if said["provider"] in get_args(Provider) else None
    key = said["api_key"] if provider in ("brave", "tavily") else None
    return provider, {"api_key": key, "url": said["url"] if provider == "searxng" else None}


def line(row: rx.Var[SearchRow], on_change: Any) -> rx.Component:
    """Say whom smiths ask."""
    change = button("Change", kind="plain", on_click=on_change, aria_label="Change the search service")
    return rx.el.p("Web search: ", row.said, " ", rx.cond(Session.manages, change), class_name="muted")


def dialog(row: rx.Var[SearchRow], errors: rx.Var[dict[str, str]], on_submit: Any) -> rx.Component:
    """Ask for a service."""

    def one(name: str, label: str, help: str, **props: Any) -> rx.Component:
        error = rx.cond(errors.contains(name), errors[name], "")
        return field(name, label, help=help, error=error, id=f"search-{name}", **{"auto_complete": "off"} | props)

    options = [(_INHERITED, "Whoever this installation has"), *_LABELS.items()]
    fields = rx.el.div(
        one("provider", "Who is asked", "", kind="select", options=options, default_value=row.chosen),
        one("api_key", "Key", "For Brave and Tavily. Sealed; empty keeps the one that is there.", kind="password"),
        one("url", "Address", "For SearXNG; its json format has to be on.", default_value=row.url),
        key=f"{row.chosen} {row.url}",
        class_name="stack searching",
    )
    return form_dialog(
        "search",
        "Web search",
        "It is told what smiths search for.",
        fields,
        deed="Keep",
        on_submit=on_submit,
    )
