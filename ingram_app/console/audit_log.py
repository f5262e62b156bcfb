"""The audit log: who did what to which thing in the organization, and from where. For owners and admins."""

import json
from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.address import asked, place_of
from ingram_app.console.dialogs import drawer, open_dialog
from ingram_app.console.figures import author, moment
from ingram_app.console.lists import filter_set, list_table, search
from ingram_app.console.looks import NativeForm, button, code, facts, head, relative_time, served
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.core.database import transaction
from ingram_app.domain import audit, projects
from ingram_app.domain.audit import AuditEntry
from ingram_app.domain.paging import Place

_PROJECTS = Place(limit=200)
_FILTERS = {"actor": "actor", "action": "action", "resource": "resource_id"}
"""Words of the address, and what `audit.browse` calls them."""


@dataclass
class EntryRow:
    id: str
    at: str
    who: str
    whose: str
    """The kind of who it was, and the token's id if there was one."""
    action: str
    resource: str
    project: str
    address: str
    details: str

    @classmethod
    def of(cls, entry: AuditEntry, known: dict[str, str]) -> "EntryRow":
        actor = entry.actor
        return cls(
            id=entry.id,
            at=moment(entry.created_at),
            who=author(actor),
            whose=", ".join(filter(None, (actor.get("kind"), actor.get("id"), actor.get("token_id")))),
            action=entry.action,
            resource=entry.resource_id,
            project=known.get(entry.project_id or "", entry.project_id or "–"),
            address=entry.address or "–",
            details=json.dumps(entry.details, ensure_ascii=False, indent=2),
        )


NONE = EntryRow("", "", "", "", "", "", "", "", "")


class AuditLog(rx.State):
    rows: list[EntryRow] = []
    older: str = ""
    chosen: EntryRow = NONE
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show a page of what was done."""
        caller = await standing(self)
        wanted = {name: asked(self, word) or None for word, name in _FILTERS.items()}
        async with transaction(caller.tenancy) as session:
            found = await audit.browse(session, caller, place_of(self), **wanted)
            known = {one.id: one.name for one in (await projects.browse(session, caller, _PROJECTS)).data}
        self.rows = [EntryRow.of(entry, known) for entry in found.data]
        self.older, self.loaded = found.next_cursor or "", True

    @rx.event
    async def look(self, entry_id: str):
        """Show one deed with its details."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            entry = await audit.find(session, caller, entry_id)
        self.chosen = EntryRow.of(entry, {})
        return open_dialog("deed")


@page("/p/[project]/settings/audit-log", title="Audit log", on_load=AuditLog.load)
def audit_log() -> rx.Component:
    query = rx.State.router.url.query_parameters
    return rx.fragment(
        head(
            "Audit log",
            f"Who did what in {Session.organization}, in all of its projects, and from where. Nothing in it changes.",
            _export(),
        ),
        rx.el.div(
            search("actor", "E-mail or id of who"),
            search("action", "Action, such as webhook"),
            search("resource", "Id of the thing"),
            *(filter_set(word, label, query[word]) for word, label in _LABELS),
            class_name="filters",
        ),
        list_table(
            ["Time", "Who", "Action", "Thing", "Project", "From", ""],
            AuditLog.rows,
            _cells,
            label="Audit log",
            loaded=AuditLog.loaded,
            older=AuditLog.older,
            empty=rx.el.p("Nothing that was done matches.", class_name="muted none-match"),
        ),
        _deed(),
    )


_LABELS = (("actor", "Who"), ("action", "Action"), ("resource", "Thing"))


def _export() -> rx.Component:
    """A form that the browser sends itself: its answer is a file."""
    query = rx.State.router.url.query_parameters

    def kept(word: str) -> rx.Component:
        return rx.el.input(type="hidden", name=word, value=rx.cond(query[word].is_not_none(), query[word], ""))

    return NativeForm.create(
        *map(kept, _FILTERS),
        button("Export CSV", icon="download", type="submit"),
        action=served("/exports/audit-log.csv"),
        method="post",
        class_name="bare",
    )


def _cells(row: EntryRow) -> list[Any]:
    look = button("Details", kind="slim plain", on_click=AuditLog.look(row.id), aria_label=f"Details of {row.action}")
    return [
        relative_time(row.at),
        rx.el.span(row.who, class_name="clip", title=row.whose),
        rx.el.code(row.action),
        rx.el.code(row.resource, class_name="clip muted", title=row.resource),
        rx.el.span(row.project, class_name="clip", title=row.project),
        rx.el.code(row.address, class_name="muted"),
        look,
    ]


def _deed() -> rx.Component:
    chosen = AuditLog.chosen
    return drawer(
        "deed",
        chosen.action,
        "What was written down, in the transaction of the deed.",
        facts(
            ("When", relative_time(chosen.at)),
            ("Who", chosen.who),
            ("As", chosen.whose),
            ("Thing", rx.el.code(chosen.resource)),
            ("Project", rx.el.code(chosen.project)),
            ("From", rx.el.code(chosen.address)),
        ),
        code(chosen.details, "Details"),
    )
