"""The smiths of an agent: which version each runs, what it has of its own, and attaching many at once."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.address import asked, named, place_of
from ingram_app.console.agent_head import AgentHead
from ingram_app.console.dialogs import close_dialog, form_dialog
from ingram_app.console.differences import label
from ingram_app.console.figures import counted, moment
from ingram_app.console.lists import empty, list_table
from ingram_app.console.looks import alert, button, relative_time
from ingram_app.console.run_rows import called
from ingram_app.console.session import Session, standing
from ingram_app.core.database import transaction
from ingram_app.core.errors import Conflict, Invalid, NotFound
from ingram_app.domain import agents, rosters, smiths
from ingram_app.domain.smiths import Clone


@dataclass
class Member:
    id: str
    who: str
    version: str
    pinned: bool
    own: str
    """Fields in which it has a value of its own."""
    created: str

    @classmethod
    def of(cls, clone: Clone) -> "Member":
        smith = clone.smith
        return cls(
            id=smith.id,
            who=called(smith),
            version=f"Version {clone.version}" if clone.version else "none yet",
            pinned=smith.pin is not None,
            own=", ".join(label(field) for field in sorted(smith.overrides)),
            created=moment(smith.created_at),
        )


class Roster(rx.State):
    rows: list[Member] = []
    older: str = ""
    error: str = ""

    @rx.event
    async def load(self):
        """Show the smiths that run the agent which the address names."""
        caller = await standing(self)
        if asked(self, "tab") != "smiths":
            return
        wanted = named(self, "agents")
        try:
            async with transaction(caller.tenancy) as session:
                await agents.find(session, caller, wanted)
                found = await smiths.browse(session, caller, place_of(self), agent_id=wanted)
        except NotFound:
            return self.reset()  # the page says so
        self.rows, self.older, self.error = [Member.of(clone) for clone in found.data], found.next_cursor or "", ""

    @rx.event
    async def attach(self, form: dict[str, Any]):
        """Have the smiths that were named, or all, run this agent."""
        caller = await standing(self)
        which: dict[str, Any] = {"all": True} if "all" in form else {"smith_ids": str(form.get("smiths", "")).split()}
        try:
            async with transaction(caller.tenancy) as session:
                roster = await rosters.attach(session, caller, named(self, "agents"), **which)
        except (Invalid, Conflict, NotFound) as error:
            self.error = error.sentence
            return None
        said = f"{counted(roster.moved, 'smith')} attached" if roster.moved else "They run this agent already"
        return [close_dialog("attach"), AgentHead.load, Roster.load, rx.toast.success(said)]


def tab() -> rx.Component:
    """The smiths, and the button that attaches more."""
    attach = rx.cond(Session.builds, button("Attach smiths …", icon="link", opens="attach"))
    return rx.el.div(
        rx.cond(Roster.rows.length() > 0, rx.el.div(attach, class_name="row end")),
        list_table(
            ["Smith", "Version", "Of its own", "Created"],
            Roster.rows,
            _cells,
            label="Smiths",
            href=lambda row: f"/p/{Session.project_id}/smiths/{row.id}",
            older=Roster.older,
            empty=empty(
                "No smith runs this agent",
                "A smith is made with the agent's id, or attached to it here, with what it overrides.",
                attach,
            ),
        ),
        class_name="stack",
    )


def _cells(row: Member) -> list[Any]:
    return [
        rx.el.span(row.who, class_name="clip wide", title=row.who),
        rx.el.span(row.version, rx.cond(row.pinned, rx.el.span("pinned", class_name="badge accent")), class_name="row"),
        rx.cond(row.own != "", rx.el.span(row.own, class_name="clip wide", title=row.own), "–"),
        relative_time(row.created),
    ]


def dialog() -> rx.Component:
    """What asks which smiths are to run this agent."""
    return form_dialog(
        "attach",
        "Attach smiths",
        "They run this agent from the next turn on. What they override stays; a pin to a version of theirs goes.",
        rx.cond(
            AgentHead.live == "",
            rx.el.p("Nothing of this agent is published: they could not run before it is.", class_name="notice amber"),
        ),
        rx.el.div(
            rx.el.label("Smiths", html_for="attach-smiths"),
            rx.el.textarea(
                id="attach-smiths", name="smiths", rows=5, class_name="input mono", placeholder="smt_…, one a line"
            ),
            class_name="field",
        ),
        rx.el.label(rx.el.input(type="checkbox", name="all"), "All smiths of the project instead", class_name="tick"),
        alert(Roster.error),
        deed="Attach",
        on_submit=Roster.attach,
    )
