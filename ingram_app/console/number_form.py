"""Numbers of a project's settings, each beside the platform's default: a part of the project's page."""

from typing import Any, ClassVar

import reflex as rx
from pydantic import BaseModel, ValidationError

from ingram_app.console.figures import micros
from ingram_app.console.looks import field, guarded, kept, save_bar, section
from ingram_app.console.session import Session, standing
from ingram_app.core.database import transaction
from ingram_app.domain import projects
from ingram_app.domain.projects import PLATFORM
from ingram_app.gateways.prices import dollars

Shown = dict[str, tuple[str, str]]
"""By the name of the number: its label and what it is. One of `_micros` is asked for in US dollars."""


class NumberForm(rx.State, mixin=True):
    """A part says as `_part` which of the settings it is of, as `_shape` what those can be, and as `_shown` which."""

    values: dict[str, str] = {}
    errors: dict[str, str] = {}

    _part: ClassVar[str]
    _shape: ClassVar[type[BaseModel]]
    _shown: ClassVar[Shown]

    @rx.event
    async def load(self):
        """Show the project's own numbers; what is empty is the platform's."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            own = (await projects.own(session, caller)).preferences.get(self._part, {})
        self._show(own)

    @rx.event
    async def keep(self, form: dict[str, Any]):
        """Keep the numbers; an empty one is put back to the platform's."""
        caller = await standing(self)
        wanted = {name: _read(name, str(form.get(name) or "").strip()) for name in self._shown}
        try:
            numbers = self._shape.model_validate(wanted).model_dump(include=set(self._shown))
        except ValidationError as wrong:
            said = {(name := str(error["loc"][0])): _wrong(name, error["msg"]) for error in wrong.errors()}
            self.errors = dict.fromkeys(self._shown, "") | said
            return None
        async with transaction(caller.tenancy) as session:
            own = (await projects.prefer(session, caller, {self._part: numbers})).preferences[self._part]
        self._show(own)
        return [kept(f"{self._part}-form"), rx.toast.success("Saved.")]

    def _show(self, own: dict[str, int | None]) -> None:
        self.values = {name: _spelt(name, own.get(name)) for name in self._shown}
        self.errors = dict.fromkeys(self._shown, "")


def _read(name: str, said: str) -> str | int | None:
    """Return what was said for the shape to judge; a sum that can not be read is left as no number."""
    if not said:
        return None
    return said if not name.endswith("_micros") else "?" if (sum := micros(said)) is None else sum


def _wrong(name: str, reason: str) -> str:
    if name.endswith("_micros"):
        return "Write US dollars, more than 0 and with at most six digits behind the point, such as 2.50."
    return f"{reason}."


def _spelt(name: str, value: int | None, none: str = "") -> str:
    return none if value is None else dollars(value) if name.endswith("_micros") else str(value)


def number_form(state: Any, part: str, shown: Shown, title: str, about: str) -> rx.Component:
    """The form; whoever may not change the project looks at it."""
    fields = [_field(state, part, name, *words) for name, words in shown.items()]
    return section(title, about, guarded(f"{part}-form", *fields, save_bar(), on_submit=state.keep))


def _field(state: Any, part: str, name: str, label: str, help: str) -> rx.Component:
    default = getattr(getattr(PLATFORM, part), name)
    return field(
        name,
        label,
        help=help,
        error=state.errors[name].to(str),
        default_value=state.values[name],
        key=f"{name} {state.values[name]}",
        placeholder=_spelt(name, default, "none"),
        input_mode="decimal" if name.endswith("_micros") else "numeric",
        disabled=~Session.manages,
    )
