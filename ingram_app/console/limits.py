"""What one run of the project may take, and how many may be at work: a part of the project's page."""

import reflex as rx

from ingram_app.console.number_form import NumberForm, number_form
from ingram_app.domain.projects import Limits

_SHOWN = {
    "max_steps": ("Model calls", "Of one run."),
    "max_seconds": ("Seconds", "Each time a run is carried; a pause does not count."),
    "max_seconds_to_first_token": ("Seconds to the first token", "Then a fallback model is asked, or the run fails."),
    "max_output_tokens": ("Output tokens", "Of all answers of a run together."),
    "max_total_tokens": ("Tokens", "Input and output. Beyond, no other model call begins."),
    "max_cost_micros": ("Cost", "In US dollars. Beyond, no other model call begins."),
    "max_memory_tokens": ("Tokens of facts", "What is told of the smith's memory, besides its document."),
    "max_input_bytes": ("Input", "In bytes."),
    "max_concurrent_runs": ("Runs at work", "Of the whole project. Those beyond wait."),
    "max_queued_runs": ("Runs that wait", "Of the whole project. One more is refused."),
}


class LimitsPart(NumberForm, rx.State):
    values: dict[str, str] = dict.fromkeys(_SHOWN, "")
    errors: dict[str, str] = dict.fromkeys(_SHOWN, "")
    _part, _shape, _shown = "limits", Limits, _SHOWN


def limits() -> rx.Component:
    """The form; whoever may not change the project looks at it."""
    return number_form(
        LimitsPart,
        "limits",
        _SHOWN,
        "Limits",
        "What a run may take. Beyond, it ends as failed and says so. Empty means the platform's default.",
    )
