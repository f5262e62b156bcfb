"""The form of a webhook: its address, and which events it wants. What both pages that ask for them share."""

from typing import Any

import reflex as rx

from ingram_app.console.looks import field, field_note
from ingram_app.core.errors import IngramError
from ingram_app.domain.event_types import FAMILIES, TYPES, WebhookTest

_PREFIX = "type:"
_NONE = rx.Var.create([]).to(list[str])


def fields(
    id: str, errors: rx.Var[dict[str, str]], *, url: rx.Var[str] | str = "", wanted: rx.Var[list[str]] = _NONE
) -> rx.Component:
    """The fields, as `url` and `wanted` say; errors are by the name of their field. `key` them to show others."""
    return rx.el.div(
        field(
            "url",
            "Address",
            id=f"{id}-url",
            help="Each event is sent there as JSON, by POST.",
            error=errors.get("url", ""),
            default_value=url,
            required=True,
            max_length=2000,
            placeholder="https://hooks.example.com/ingram",
        ),
        rx.el.fieldset(
            rx.el.legend("Events"),
            rx.el.div(*(_family(family, wanted) for family in FAMILIES), class_name="types"),
            field_note(f"{id}-events", "None ticked: all of them, also those to come.", errors.get("events", "")),
            class_name="field",
        ),
        class_name="stack",
    )


def asked_for(form: dict[str, Any]) -> dict[str, Any]:
    """Return what a form of `fields` says, as the verbs take it."""
    ticked = {name.removeprefix(_PREFIX) for name in form if name.startswith(_PREFIX)}
    families = [family for family in FAMILIES if family in ticked]
    types = [type for type in TYPES if type in ticked and type.partition(".")[0] not in families]
    return {"url": str(form.get("url", "")).strip(), "events": [*families, *types]}


def told(error: IngramError) -> dict[str, str]:
    """Return an error at its field."""
    return {error.param if error.param in ("url", "events") else "url": error.sentence}


def _family(family: str, wanted: rx.Var[list[str]]) -> rx.Component:
    types = [type for type in TYPES if type.startswith(f"{family}.") and type != WebhookTest.name]
    every = _tick(family, wanted, rx.el.span("every ", rx.el.code(f"{family}.…")))
    return rx.el.div(every, *(_tick(type, wanted, rx.el.code(type)) for type in types))


def _tick(name: str, wanted: rx.Var[list[str]], label: rx.Component) -> rx.Component:
    box = rx.el.input(type="checkbox", name=f"{_PREFIX}{name}", default_checked=wanted.contains(name))
    return rx.el.label(box, label, class_name="tick")
