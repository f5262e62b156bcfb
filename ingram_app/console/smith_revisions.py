"""What a smith's config has been: each revision with what it changed, and the way back to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.address import asked, named, place_of
from ingram_app.console.dialogs import confirm, open_dialog
from ingram_app.console.differences import label
from ingram_app.console.figures import author, moment
from ingram_app.console.lists import list_table
from ingram_app.console.looks import button, relative_time
from ingram_app.console.session import Session, standing
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound
from ingram_app.domain import revisions, smiths
from ingram_app.domain.designs import FIELDS
from ingram_app.domain.revisions import Revision


@dataclass
class RevisionRow:
    version: int
    changed: str
    """The fields that it changed."""
    note: str
    by: str
    at: str
    now: bool
    """It is what the smith has now."""


class SmithRevisions(rx.State):
    rows: list[RevisionRow] = []
    older: str = ""
    chosen: int = 0
    differs: str = ""
    """What going back to the chosen one changes."""

    @rx.event
    async def load(self):
        """Show a page of the revisions of the smith that the address names."""
        caller = await standing(self)
        if asked(self, "tab") != "revisions":
            return
        smith_id = named(self, "smiths")
        try:
            async with transaction(caller.tenancy) as session:
                clone = await smiths.find(session, caller, smith_id)
                found = await revisions.browse(session, caller, smith_id, place_of(self))
                first = found.data[-1].version if found.data else 1
                before = await revisions.find(session, caller, smith_id, first - 1) if first > 1 else None
        except NotFound:
            return self.reset()  # the page says so
        self.rows = _rows([*found.data, *([before] if before else [])], clone.smith.own_config)[: len(found.data)]
        self.older = found.next_cursor or ""

    @rx.event
    async def choose(self, version: int):
        """Ask whether the smith is to have this config again, and tell what that changes."""
        caller = await standing(self)
        smith_id = named(self, "smiths")
        async with transaction(caller.tenancy) as session:
            clone = await smiths.find(session, caller, smith_id)
            wanted = await revisions.find(session, caller, smith_id, version)
        self.chosen = version
        self.differs = _changed(clone.smith.own_config, wanted.snapshot) or "nothing"
        return open_dialog("restore-revision")

    @rx.event
    async def restore(self):
        """Give the smith the chosen config back."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await smiths.restore(session, caller, named(self, "smiths"), self.chosen)
        return [SmithRevisions.load, rx.toast.success(f"Revision {self.chosen} holds again")]


def _rows(found: Sequence[Revision], current: dict[str, Any]) -> list[RevisionRow]:
    befores: list[dict[str, Any] | None] = [*(revision.snapshot for revision in found[1:]), None]
    return [
        RevisionRow(
            version=revision.version,
            changed="as it was made" if before is None else _changed(before, revision.snapshot),
            note=revision.note or "",
            by=author(revision.created_by),
            at=moment(revision.created_at),
            now=place == 0 and revision.snapshot == current,
        )
        for place, (revision, before) in enumerate(zip(found, befores, strict=True))
    ]


def _changed(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Return in words which parts of a config differ."""
    own, then = after["overrides"], before["overrides"]
    fields = [label(field) for field in FIELDS if own.get(field) != then.get(field)]
    moved = [word for part, word in (("agent_id", "Agent"), ("pin", "Pin")) if before[part] != after[part]]
    return ", ".join([*moved, *fields])


def tab() -> rx.Component:
    """Every revision."""
    return rx.el.div(
        rx.el.p(
            "A revision is written down whenever the smith's agent, pin or overrides change. None is ever rewritten.",
            class_name="muted",
        ),
        list_table(
            ["Revision", "Changed", "Note", "By", "When", ""],
            SmithRevisions.rows,
            _cells,
            label="Revisions",
            older=SmithRevisions.older,
            empty=rx.el.p("No revision yet.", class_name="muted none-match"),
        ),
        class_name="stack",
    )


def _cells(row: RevisionRow) -> list[Any]:
    restore = button(
        "Restore …",
        kind="plain slim",
        on_click=SmithRevisions.choose(row.version),
        aria_label=f"Restore revision {row.version}",
    )
    return [
        rx.el.span(row.version, rx.cond(row.now, rx.el.span("now", class_name="badge green")), class_name="row"),
        rx.el.span(row.changed, class_name="clip wide", title=row.changed),
        rx.cond(row.note != "", rx.el.span(row.note, class_name="clip wide", title=row.note), "–"),
        row.by,
        relative_time(row.at),
        rx.cond(Session.builds & ~row.now, restore),
    ]


def dialog() -> rx.Component:
    """What asks before the config changes."""
    return confirm(
        "restore-revision",
        f"Restore revision {SmithRevisions.chosen}",
        f"It changes: {SmithRevisions.differs}. It holds from the next turn on, as a new revision: you can come back.",
        deed="Restore",
        on_confirm=SmithRevisions.restore,
    )
