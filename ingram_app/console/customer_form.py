"""The form of a customer: its name and what other systems know it by. What the pages that ask for them share."""

import json
from typing import Any

import reflex as rx

from ingram_app.console.looks import field
from ingram_app.core.errors import Invalid
from ingram_app.domain.customers import NAME_LENGTH, STRIPE


class NoIds(Invalid):
    """External ids are a JSON object of texts, like {example}. This is not: {why}."""


def fields(
    id: str, errors: rx.Var[dict[str, str]], *, name: Any = "", at_stripe: Any = "", others: Any = ""
) -> rx.Component:
    """The fields, as they stand; errors are by the name of their field. `key` them to show others."""
    return rx.el.div(
        field(
            "name",
            "Name",
            id=f"{id}-name",
            error=errors.get("name", ""),
            default_value=name,
            required=True,
            max_length=NAME_LENGTH,
        ),
        field(
            "at_stripe",
            "Stripe customer",
            id=f"{id}-stripe",
            help="Its id at Stripe. With it, and an account connected, its usage is told there.",
            default_value=at_stripe,
            max_length=255,
            placeholder="cus_Na6dX7aXxi11N4",
        ),
        field(
            "others",
            "Other external ids",
            id=f"{id}-others",
            kind="area",
            help='What other systems know it by, as a JSON object: {"crm": "4711"}',
            error=errors.get("external_ids", ""),
            default_value=others,
            class_name="input mono",
            rows=3,
            spell_check=False,
        ),
        class_name="stack",
    )


def asked_for(form: dict[str, Any]) -> dict[str, Any]:
    """Return what a form of `fields` says, as the verbs take it. Raises `NoIds`."""
    ids = _object(str(form.get("others", "")))
    if at_stripe := str(form.get("at_stripe", "")).strip():
        ids[STRIPE] = at_stripe
    return {"name": str(form.get("name", "")), "external_ids": ids}


def told(error: Invalid) -> dict[str, str]:
    """Return an error at its field."""
    return {error.param if error.param == "external_ids" else "name": error.sentence}


def spelt(ids: dict[str, str]) -> str:
    """Return all external ids but that of Stripe, as the form shows them."""
    others = {name: value for name, value in ids.items() if name != STRIPE}
    return json.dumps(others, indent=2, ensure_ascii=False) if others else ""


def _object(text: str) -> dict[str, str]:
    if not text.strip():
        return {}
    example = '{"crm": "4711"}'
    try:
        value = json.loads(text)
    except ValueError as wrong:
        raise NoIds(example=example, why=str(wrong), param="external_ids") from None
    if not isinstance(value, dict) or not all(isinstance(held, str) for held in value.values()):
        raise NoIds(example=example, why="it is no object of texts", param="external_ids")
    return value
