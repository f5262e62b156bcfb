"""The dialog about a budget: whose it is, how much, and what happens."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.dialogs import form_dialog
from ingram_app.console.looks import field
from ingram_app.core.errors import IngramError
from ingram_app.domain.budgets import Budget

BLANK = {"limit": "", "action": "warn", "period": "monthly", "thresholds": "80, 100"}
_SCOPES = [("tenant", "The whole project"), ("agent", "An agent"), ("smith", "A smith"), ("customer", "A customer")]
_ACTIONS = [
    ("warn", "Only tell, by an event"),
    ("degrade", "Ask the agent's cheaper model"),
    ("block", "Ask no model: runs are refused, and stop"),
]
_PERIODS = [("daily", "A day"), ("weekly", "A week, from Monday"), ("monthly", "A month")]
_UNKNOWN_PRICES = "In US dollars. A model whose price is not known counts as free."


@dataclass
class Choice:
    """An agent that a budget can be for."""

    value: str
    words: str


def stands(budget: Budget) -> dict[str, str]:
    """Return what stands in the form for a budget."""
    return {
        "limit": f"{budget.limit:.6f}".rstrip("0").rstrip("."),
        "action": budget.action.value,
        "period": budget.period.value,
        "thresholds": ", ".join(map(str, budget.thresholds)),
    }


def whose(form: dict[str, Any]) -> dict[str, Any]:
    """Return whose budget a form asks for."""
    scope = str(form.get("scope", ""))
    named = str(form.get(scope, "")).strip()
    return {"scope": scope, "scope_id": named or None}


def terms(form: dict[str, Any]) -> dict[str, Any]:
    """Return what a form says of a budget; what can not be read is left as it was said, for the verb to refuse."""
    percents = [one for one in str(form.get("thresholds", "")).replace("%", " ").replace(",", " ").split() if one]
    return {
        "limit": _number(str(form.get("limit", "")).strip().lstrip("$"), float),
        "action": str(form.get("action", "")),
        "period": str(form.get("period", "")),
        "thresholds": [_number(one, int) for one in percents],
    }


def told(error: IngramError, form: dict[str, Any]) -> dict[str, str]:
    """Return an error at its field."""
    where = (error.param or "").partition(".")[0]
    scope = str(form.get("scope", ""))
    return {where if where in BLANK else scope if scope in ("agent", "smith", "customer") else "scope": error.sentence}


def new(agents: rx.Var[list[Choice]], errors: rx.Var[dict[str, str]], on_submit: Any) -> rx.Component:
    """Ask for a new budget."""

    def one(name: str, label: str, help: str, **props: Any) -> rx.Component:
        return _field("new-budget", name, label, help, errors, **props)

    agent = rx.el.div(
        rx.el.label("Which agent", html_for="new-budget-agent"),
        rx.el.select(
            rx.foreach(agents, lambda choice: rx.el.option(choice.words, value=choice.value)),
            id="new-budget-agent",
            name="agent",
            class_name="input",
        ),
        class_name="field of-agent",
    )
    fields = rx.el.div(
        one("scope", "For", "Each can have one budget.", kind="select", options=_SCOPES),
        agent,
        rx.el.div(one("smith", "Which smith", "Its id.", placeholder="smt_…"), class_name="of-smith"),
        rx.el.div(one("customer", "Which customer", "Its id.", placeholder="cus_…"), class_name="of-customer"),
        *_terms("new-budget", errors, BLANK),
        class_name="stack budget-of",
    )
    about = "What was spent in the present period counts already."
    return form_dialog("new-budget", "New budget", about, fields, deed="Create budget", on_submit=on_submit)


def edit(title: rx.Var[str], kept: rx.Var[dict[str, str]], errors: rx.Var[dict[str, str]], on_submit: Any) -> Any:
    """Ask what is to change of a budget."""
    fields = rx.el.div(*_terms("budget", errors, kept), key=kept.to_string(), class_name="stack")
    about = "It holds from the next model call on, also for runs that work already."
    return form_dialog("budget", f"Edit the budget: {title}", about, fields, deed="Save", on_submit=on_submit)


def _terms(id: str, errors: rx.Var[dict[str, str]], kept: Any) -> list[rx.Component]:
    def one(name: str, label: str, help: str, **props: Any) -> rx.Component:
        return _field(id, name, label, help, errors, default_value=kept[name], **props)

    return [
        one("limit", "Limit", _UNKNOWN_PRICES, required=True, input_mode="decimal", placeholder="25.00"),
        one("period", "Within", "Days, weeks and months begin at midnight UTC.", kind="select", options=_PERIODS),
        one("action", "When it is used up", "", kind="select", options=_ACTIONS),
        one("thresholds", "Tell at", "Percent of the limit. Each is told once in a period, as budget.threshold."),
    ]


def _field(id: str, name: str, label: str, help: str, errors: rx.Var[dict[str, str]], **props: Any) -> rx.Component:
    error = rx.cond(errors.contains(name), errors[name], "")
    return field(name, label, help=help, error=error, id=f"{id}-{name}", **{"auto_complete": "off"} | props)


def _number(text: str, read: Any) -> Any:
    try:
        return read(text)
    except ValueError:
        return text
