"""Publishing an agent's draft: what differs from what is live, and then the deed."""

from typing import Any

import reflex as rx

from ingram_app.console.address import named
from ingram_app.console.agent_head import AgentHead
from ingram_app.console.dialogs import close_dialog, form_dialog, open_dialog
from ingram_app.console.differences import Difference, differences, side_by_side
from ingram_app.console.looks import field
from ingram_app.console.session import standing
from ingram_app.console.versions import Versions
from ingram_app.core.database import transaction
from ingram_app.domain import agents, versions
from ingram_app.domain.versions import DRAFT

NOTE_LENGTH = 2000


class Publishing(rx.State):
    live: str = ""
    shown: list[Difference] = []

    @rx.event
    async def ask(self):
        """Show what differs from what is live, and ask."""
        caller = await standing(self)
        wanted = named(self, "agents")
        async with transaction(caller.tenancy) as session:
            agent = await agents.find(session, caller, wanted)
            found = None
            if agent.published:
                found = await versions.compare(session, caller, wanted, str(agent.active_version), DRAFT)
        self.live = f"Version {agent.active_version}, live" if agent.published else ""
        self.shown = differences(found.changes) if found else []
        return open_dialog("publish")

    @rx.event
    async def publish(self, form: dict[str, Any]):
        """Freeze the draft as the next version."""
        caller = await standing(self)
        wanted = named(self, "agents")
        note = str(form.get("note", "")).strip()[:NOTE_LENGTH] or None
        async with transaction(caller.tenancy) as session:
            version = await versions.publish(session, caller, wanted, note)
            agent = await agents.find(session, caller, wanted)
        is_live = agent.active_version == version.version
        said = f"Version {version.version} is live" if is_live else f"Version {version.version} is published"
        return [close_dialog("publish"), AgentHead.load, Versions.load, rx.toast.success(said)]


def dialog() -> rx.Component:
    """What asks before a version is published."""
    return form_dialog(
        "publish",
        "Publish",
        "The draft as it was last saved becomes a version that never changes.",
        rx.el.p("What you have changed since is not part of it. Save first.", class_name="notice amber if-changed"),
        rx.cond(
            Publishing.live == "",
            rx.el.p("It is the first version, and goes live by itself.", class_name="muted small"),
            rx.cond(
                Publishing.shown.length() == 0,
                rx.el.p("Nothing differs from what is live.", class_name="notice"),
                rx.el.div(side_by_side(Publishing.shown, Publishing.live, "Draft"), class_name="scrolls"),
            ),
        ),
        field("note", "Note", id="publish-note", help="What is new, for your team. Optional.", max_length=NOTE_LENGTH),
        deed="Publish",
        on_submit=Publishing.publish,
    )
