"""An agent's versions: publishing, and which of them is live."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.address import named
from ingram_app.console.dialogs import close_dialog, confirm, form_dialog, open_dialog
from ingram_app.console.figures import counted, moment
from ingram_app.console.lists import list_table
from ingram_app.console.looks import badge, button, field, relative_time, section
from ingram_app.console.session import Session, standing
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound
from ingram_app.domain import agents, rollouts, versions
from ingram_app.domain.access import Caller
from ingram_app.domain.agents import Agent, AgentVersion
from ingram_app.domain.paging import Place

_SHOWN = Place(limit=50)
"""Versions on the page; the API has the rest."""
_NOTE_LENGTH = 2000


@dataclass
class VersionRow:
    number: int
    note: str
    by: str
    at: str
    live: bool

    @classmethod
    def of(cls, version: AgentVersion, agent: Agent) -> "VersionRow":
        by = version.created_by or {}
        return cls(
            number=version.version,
            note=version.note or "",
            by=by.get("email") or by.get("kind") or "the platform",
            at=moment(version.created_at),
            live=version.version == agent.active_version,
        )


class Versions(rx.State):
    rows: list[VersionRow] = []
    status: str = ""
    live: str = ""
    smiths: int = 0
    last_activity: str = ""
    candidate: int = 0
    """The version that is about to go live."""

    @rx.var
    def effect(self) -> str:
        """What making the candidate live does."""
        whom = f"The agent's {counted(self.smiths, 'smith')}" if self.smiths else "Every smith of this agent"
        before = f" {self.live} stays, and can be made live again." if self.live else ""
        return f"{whom} will run version {self.candidate} from the next turn on.{before}"

    @rx.event
    async def load(self):
        """Show the versions of the agent that the address names."""
        caller = await standing(self)
        try:
            await self._show(caller, named(self, "agents"))
        except NotFound:
            self.reset()  # the page says so

    @rx.event
    async def publish(self, form: dict[str, Any]):
        """Freeze the draft as the next version."""
        caller = await standing(self)
        note = str(form.get("note", "")).strip()[:_NOTE_LENGTH] or None
        async with transaction(caller.tenancy) as session:
            version = await versions.publish(session, caller, named(self, "agents"), note)
        await self._show(caller, named(self, "agents"))
        is_live = self.live == f"Version {version.version}"
        said = f"Version {version.version} is live" if is_live else f"Version {version.version} is published"
        return [close_dialog("publish"), rx.toast.success(said)]

    @rx.event
    def ask_live(self, number: int):
        """Ask whether this version is to go live."""
        self.candidate = number
        return open_dialog("make-live")

    @rx.event
    async def make_live(self):
        """Roll the candidate out to every smith of the agent."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await rollouts.roll_out(session, caller, named(self, "agents"), self.candidate)
        await self._show(caller, named(self, "agents"))
        return rx.toast.success(f"Version {self.candidate} is live")

    async def _show(self, caller: Caller, wanted: str) -> None:
        async with transaction(caller.tenancy) as session:
            agent = await agents.find(session, caller, wanted)
            found = (await versions.browse(session, caller, wanted, _SHOWN)).data
            figures = (await agents.figures(session, caller, [wanted]))[wanted]
        self.rows = [VersionRow.of(version, agent) for version in found]
        self.live = f"Version {agent.active_version}" if agent.published else ""
        self.smiths, self.last_activity = figures.smith_count, moment(figures.last_activity_at)
        self.status = _status(agent, found)


def _status(agent: Agent, found: Sequence[AgentVersion]) -> str:
    """Return how far the draft has come."""
    if not found:
        return "draft only"
    if found[0].snapshot != agent.draft:
        return "unpublished changes"
    return "live" if found[0].version == agent.active_version else "published, not live"


def version_list() -> rx.Component:
    """The list of versions."""
    return section(
        "Versions",
        "A version never changes. Smiths run the live one; the first goes live by itself.",
        list_table(
            ["Version", "Note", "By", "Published", ""],
            Versions.rows,
            _cells,
            label="Versions",
            empty=rx.el.p("Nothing has been published yet.", class_name="muted small"),
        ),
    )


def _cells(row: VersionRow) -> list[Any]:
    ask = button("Make live …", kind="slim", on_click=Versions.ask_live(row.number))
    return [
        rx.el.span(f"Version {row.number}", class_name="strong"),
        rx.el.span(rx.cond(row.note != "", row.note, "–"), class_name="note"),
        row.by,
        relative_time(row.at),
        rx.cond(row.live, badge("live"), rx.cond(Session.builds, ask)),
    ]


def dialogs() -> list[rx.Component]:
    """What asks before a version is published, or goes live."""
    return [
        form_dialog(
            "publish",
            "Publish",
            "The draft as it was last saved becomes a version that never changes.",
            rx.el.p("What you have changed since is not part of it. Save first.", class_name="notice amber if-changed"),
            field(
                "note", "Note", id="publish-note", help="What is new, for your team. Optional.", max_length=_NOTE_LENGTH
            ),
            deed="Publish",
            on_submit=Versions.publish,
        ),
        confirm(
            "make-live",
            f"Make version {Versions.candidate} live",
            Versions.effect,
            deed="Make live",
            on_confirm=Versions.make_live,
        ),
    ]
