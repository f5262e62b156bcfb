"""What one run of the project may take, and how many may be at work: a part of the project's page."""

from typing import Any

import reflex as rx
from pydantic import ValidationError

from ingram_app.console.looks import field, guarded, kept, save_bar, section
from ingram_app.console.session import Session, standing
from ingram_app.core.database import transaction
from ingram_app.domain import projects
from ingram_app.domain.projects import PLATFORM, Limits

_FORM = "limits-form"
_SHOWN = {
    "max_steps": ("Model calls", "Of one run."),
    "max_seconds": ("Seconds", "Each time a run is carried; a pause does not count."),
    "max_seconds_to_first_token": ("Seconds to the first token", "Then a fallback model is asked, or the run fails."),
    "max_output_tokens": ("Output tokens", "Of all answers of a run together."),
    "max_total_tokens": ("Tokens", "Input and output. Beyond, no other model call begins."),
    "max_cost_micros": ("Cost", "In millionths of a US dollar. Beyond, no other model call begins."),
    "max_memory_tokens": ("Tokens of facts", "What is told of the smith's memory, besides its document."),
    "max_input_bytes": ("Input", "In bytes."),
    "max_concurrent_runs": ("Runs at work", "Of the whole project. Those beyond wait."),
    "max_queued_runs": ("Runs that wait", "Of the whole project. One more is refused."),
}


class LimitsPart(rx.State):
    values: dict[str, str] = dict.fromkeys(_SHOWN, "")
    errors: dict[str, str] = dict.fromkeys(_SHOWN, "")

    @rx.event
    async def load(self):
        """Show the project's own limits; what is empty is the platform's."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            own = (await projects.own(session, caller)).preferences.get("limits", {})
        self.values, self.errors = _spelt(own), dict.fromkeys(_SHOWN, "")

    @rx.event
    async def keep(self, form: dict[str, Any]):
        """Keep the limits; an empty one is put back to the platform's."""
        caller = await standing(self)
        wanted = {name: str(form.get(name) or "").strip() or None for name in _SHOWN}
        try:
            limits = Limits.model_validate(wanted).model_dump()
        except ValidationError as wrong:
            said = {str(error["loc"][0]): f"{error['msg']}." for error in wrong.errors()}
            self.errors = dict.fromkeys(_SHOWN, "") | said
            return None
        async with transaction(caller.tenancy) as session:
            own = (await projects.prefer(session, caller, {"limits": limits})).preferences["limits"]
        self.values, self.errors = _spelt(own), dict.fromkeys(_SHOWN, "")
        return [kept(_FORM), rx.toast.success("Saved.")]


def _spelt(limits: dict[str, int | None]) -> dict[str, str]:
    return {name: "" if (value := limits.get(name)) is None else str(value) for name in _SHOWN}


def limits() -> rx.Component:
    """The form; whoever may not change the project looks at it."""
    return section(
        "Limits",
        "What a run may take. Beyond, it ends as failed and says so. Empty means the platform's default.",
        guarded(_FORM, *(_field(name) for name in _SHOWN), save_bar(), on_submit=LimitsPart.keep),
    )


def _field(name: str) -> rx.Component:
    label, help = _SHOWN[name]
    default = getattr(PLATFORM.limits, name)
    return field(
        name,
        label,
        help=help,
        error=LimitsPart.errors[name].to(str),
        default_value=LimitsPart.values[name],
        key=f"{name} {LimitsPart.values[name]}",
        placeholder="none" if default is None else str(default),
        input_mode="numeric",
        disabled=~Session.manages,
    )
