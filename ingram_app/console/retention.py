"""For how long what is over is kept: a part of the project's page."""

import reflex as rx

from ingram_app.console.number_form import NumberForm, number_form
from ingram_app.domain.projects import Retention

_SHOWN = {
    "runs_days": (
        "Runs",
        "Days after a run ended. Then it goes with its frames, messages, tool calls, approvals and spans, and its smith"
        " no longer has that turn before it. What it used and cost stays.",
    ),
    "threads_days": (
        "Threads",
        "Days without a turn. Then a thread goes with all that was said on it, its summary and its attachments."
        " What its runs used and cost stays.",
    ),
    "events_days": ("Events", "Days on the feed. One that is still to be sent somewhere stays until it is."),
    "deliveries_days": ("Deliveries", "Days in the record of a webhook, once delivered or given up."),
    "traces_days": ("Spans of your programs", "Days after the last of their trace was sent."),
}


class RetentionPart(NumberForm, rx.State):
    values: dict[str, str] = dict.fromkeys(_SHOWN, "")
    errors: dict[str, str] = dict.fromkeys(_SHOWN, "")
    _part, _shape, _shown = "retention", Retention, _SHOWN


def retention() -> rx.Component:
    """The form; whoever may not change the project looks at it."""
    return number_form(
        RetentionPart,
        "retention",
        _SHOWN,
        "Retention",
        "How long what is over is kept. Empty means the platform's default: runs and threads are kept for good, like"
        " the audit log.",
    )
