"""What a smith runs with, field by field: what its agent says, and what it has of its own."""

import json
from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.address import named
from ingram_app.console.dialogs import close_dialog, form_dialog, open_dialog
from ingram_app.console.differences import label
from ingram_app.console.looks import button, section
from ingram_app.console.session import Session, standing
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.domain import designs, smiths
from ingram_app.domain.designs import InvalidDesign
from ingram_app.domain.smiths import Clone

_WORDS = frozenset({"instructions", "model", "cheaper_model"})
_YES_OR_NO = frozenset({"auto_memory", "memory_consolidation"})


@dataclass
class FieldRow:
    name: str
    label: str
    value: str
    """As it is shown."""
    own: bool


class Overrides(rx.State):
    rows: list[FieldRow] = []
    editing: str = ""
    label: str = ""
    text: str = ""
    """What stands in the dialog at first."""
    error: str = ""
    opened: int = 0
    """Counts how often the dialog was opened: with it the form is put up anew."""

    @rx.event
    async def load(self):
        """Show what the smith that the address names runs with."""
        caller = await standing(self)
        try:
            async with transaction(caller.tenancy) as session:
                self._show(await smiths.find(session, caller, named(self, "smiths")))
        except NotFound:
            self.reset()  # the page says so

    @rx.event
    async def edit(self, name: str):
        """Ask for a field's own value."""
        caller = await standing(self)
        if name not in designs.FIELDS:
            return None
        async with transaction(caller.tenancy) as session:
            clone = await smiths.find(session, caller, named(self, "smiths"))
        self.editing, self.label, self.error = name, label(name), ""
        self.text = _written(name, clone.config[name])
        self.opened += 1
        return open_dialog("override")

    @rx.event
    async def save(self, form: dict[str, Any]):
        """Override the field."""
        caller = await standing(self)
        try:
            value = _read(self.editing, str(form.get("value", "")))
            async with transaction(caller.tenancy) as session:
                clone = await smiths.change(session, caller, named(self, "smiths"), {self.editing: value})
        except Invalid as error:
            self.error = error.sentence
            return None
        self._show(clone)
        return [close_dialog("override"), rx.toast.success(f"{self.label} overridden")]

    @rx.event
    async def take_back(self, name: str):
        """Have the agent's value hold again."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            clone = await smiths.change(session, caller, named(self, "smiths"), {name: None})
        self._show(clone)
        return rx.toast.success(f"{label(name)} inherited again")

    def _show(self, clone: Clone) -> None:
        config = clone.config
        self.rows = [
            FieldRow(name, label(name), _shown(config[name]), name in clone.smith.overrides) for name in designs.FIELDS
        ]
        self.error = ""


def _shown(value: Any) -> str:
    """Return a value for the eye: short, empty for nothing."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        value = {key: part for key, part in value.items() if part is not None}
    return json.dumps(value, ensure_ascii=False) if value else ""


def _written(name: str, value: Any) -> str:
    """Return a value as the dialog takes it."""
    if name in _WORDS:
        return value or ""
    if name in _YES_OR_NO:
        return "on" if value else "off"
    return json.dumps(value, indent=2, ensure_ascii=False)


def _read(name: str, text: str) -> Any:
    """Return the value that was typed. Raises `InvalidDesign`."""
    if name in _YES_OR_NO:
        return text == "on"
    if not text.strip():
        raise InvalidDesign(field=name, why="to have the agent's value hold, take the override back", param=name)
    if name in _WORDS:
        return text
    try:
        return json.loads(text)
    except ValueError as wrong:
        raise InvalidDesign(field=name, why=f"it is no JSON: {wrong}", param=name) from None


def fields() -> rx.Component:
    """Every field with its value and where it comes from."""
    return section(
        "What it runs with",
        "A field comes from the agent's live version unless the smith has one of its own.",
        rx.el.ul(rx.foreach(Overrides.rows, _row), class_name="config"),
    )


def _row(row: FieldRow) -> rx.Component:
    deeds = rx.fragment(
        button("Override …", kind="plain slim", on_click=Overrides.edit(row.name), aria_label=f"Override {row.label}"),
        rx.cond(
            row.own,
            button("Reset", kind="plain slim", on_click=Overrides.take_back(row.name), aria_label=f"Reset {row.label}"),
        ),
    )
    return rx.el.li(
        rx.el.span(row.label, class_name="name"),
        rx.el.span(rx.cond(row.value != "", row.value, rx.el.span("none", class_name="muted")), class_name="value"),
        rx.cond(
            row.own,
            rx.el.span("overridden", class_name="badge accent"),
            rx.el.span("inherited", class_name="muted small"),
        ),
        rx.el.span(rx.cond(Session.builds, deeds), class_name="row"),
        custom_attrs={"data-field": row.name},
    )


def dialog() -> rx.Component:
    """What asks for a value of the smith's own."""
    return form_dialog(
        "override",
        f"Override {Overrides.label}",
        "It holds for this smith alone, until it is reset.",
        rx.el.div(
            rx.el.label(Overrides.label, html_for="override-value"),
            _control(),
            rx.cond(Overrides.error != "", rx.el.p(Overrides.error, class_name="error", role="alert")),
            class_name="field",
            key=Overrides.opened,
        ),
        deed="Override",
        on_submit=Overrides.save,
    )


def _control() -> rx.Component:
    name = Overrides.editing
    yes_or_no = (name == "auto_memory") | (name == "memory_consolidation")
    props = {"id": "override-value", "name": "value", "default_value": Overrides.text}
    return rx.cond(
        yes_or_no,
        rx.el.select(rx.el.option("On", value="on"), rx.el.option("Off", value="off"), class_name="input", **props),
        rx.cond(
            (name == "model") | (name == "cheaper_model"),
            rx.el.input(class_name="input mono", max_length=200, auto_complete="off", **props),
            rx.el.textarea(class_name=rx.cond(name == "instructions", "input prose", "input mono"), rows=12, **props),
        ),
    )
