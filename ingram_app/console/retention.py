"""For how long what is over is kept: a part of the project's page."""

from typing import Any

import reflex as rx
from pydantic import ValidationError

from ingram_app.console.looks import field, guarded, kept, save_bar, section
from ingram_app.console.session import Session, standing
from ingram_app.core.database import transaction
from ingram_app.domain import projects
from ingram_app.domain.projects import PLATFORM, Retention

_FORM = "retention-form"
_SHOWN = {
    "events_days": ("Events", "Days on the feed. One that is still to be sent somewhere stays until it is."),
    "deliveries_days": ("Deliveries", "Days in the record of a webhook, once delivered or given up."),
    "traces_days": ("Spans of your programs", "Days after the last of their trace was sent."),
}


class RetentionPart(rx.State):
    values: dict[str, str] = dict.fromkeys(_SHOWN, "")
    errors: dict[str, str] = dict.fromkeys(_SHOWN, "")

    @rx.event
    async def load(self):
        """Show the project's own days; what is empty is the platform's."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            own = (await projects.own(session, caller)).preferences.get("retention", {})
        self.values, self.errors = _spelt(own), dict.fromkeys(_SHOWN, "")

    @rx.event
    async def keep(self, form: dict[str, Any]):
        """Keep the days; an empty one is put back to the platform's."""
        caller = await standing(self)
        wanted = {name: str(form.get(name) or "").strip() or None for name in _SHOWN}
        try:
            days = Retention.model_validate(wanted).model_dump(include=set(_SHOWN))
        except ValidationError as wrong:
            said = {str(error["loc"][0]): f"{error['msg']}." for error in wrong.errors()}
            self.errors = dict.fromkeys(_SHOWN, "") | said
            return None
        async with transaction(caller.tenancy) as session:
            own = (await projects.prefer(session, caller, {"retention": days})).preferences["retention"]
        self.values, self.errors = _spelt(own), dict.fromkeys(_SHOWN, "")
        return [kept(_FORM), rx.toast.success("Saved.")]


def _spelt(days: dict[str, int | None]) -> dict[str, str]:
    return {name: "" if (value := days.get(name)) is None else str(value) for name in _SHOWN}


def retention() -> rx.Component:
    """The form; whoever may not change the project looks at it."""
    return section(
        "Retention",
        "How long what is over is kept. Empty means the platform's default. The audit log is kept for good.",
        guarded(_FORM, *(_field(name) for name in _SHOWN), save_bar(), on_submit=RetentionPart.keep),
    )


def _field(name: str) -> rx.Component:
    label, help = _SHOWN[name]
    return field(
        name,
        label,
        help=help,
        error=RetentionPart.errors[name].to(str),
        default_value=RetentionPart.values[name],
        key=f"{name} {RetentionPart.values[name]}",
        placeholder=str(getattr(PLATFORM.retention, name)),
        input_mode="numeric",
        disabled=~Session.manages,
    )
