"""Agents: the designs of the project's assistants."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.address import place_of
from ingram_app.console.agent_head import rolling
from ingram_app.console.dialogs import close_dialog, curl, form_dialog
from ingram_app.console.figures import moment
from ingram_app.console.lists import empty, list_table
from ingram_app.console.looks import badge, button, field, head, relative_time
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid
from ingram_app.domain import agents
from ingram_app.domain.agents import Agent, Figures


@dataclass
class AgentRow:
    id: str
    name: str
    slug: str
    live: str
    rolling: str
    """What rolls out beside it."""
    halted: bool
    smiths: int
    last_activity: str

    @classmethod
    def of(cls, agent: Agent, figures: Figures) -> "AgentRow":
        return cls(
            id=agent.id,
            name=agent.name,
            slug=agent.slug or "",
            live=f"version {agent.active_version}" if agent.published else "",
            rolling=rolling(agent).lower(),
            halted=agent.halted is not None,
            smiths=figures.smith_count,
            last_activity=moment(figures.last_activity_at),
        )


class AgentsPage(rx.State):
    rows: list[AgentRow] = []
    older: str = ""
    loaded: bool = False
    error: str = ""
    """What is wrong with the name of a new agent."""

    @rx.event
    async def load(self):
        """Show a page of agents."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            found = await agents.browse(session, caller, place_of(self))
            figures = await agents.figures(session, caller, [agent.id for agent in found.data])
        self.rows = [AgentRow.of(agent, figures[agent.id]) for agent in found.data]
        self.older, self.loaded, self.error = found.next_cursor or "", True, ""

    @rx.event
    async def create(self, form: dict[str, Any]):
        """Draft an agent and open it."""
        caller = await standing(self)
        try:
            async with transaction(caller.tenancy) as session:
                agent = await agents.create(session, caller, name=str(form.get("name", "")))
        except Invalid as error:
            self.error = error.sentence
            return None
        self.error = ""
        return [close_dialog("new-agent"), rx.redirect(f"/p/{caller.project_id}/agents/{agent.id}")]


@page("/p/[project]/agents", title="Agents", on_load=AgentsPage.load)
def agents_page() -> rx.Component:
    return rx.fragment(
        head("Agents", "The design of an assistant: what it is told, and with which model it works.", _new()),
        list_table(
            ["Name", "Slug", "Live", "Rolling out", "Smiths#", "Last activity"],
            AgentsPage.rows,
            _cells,
            label="Agents",
            href=lambda row: f"/p/{Session.project_id}/agents/{row.id}",
            loaded=AgentsPage.loaded,
            older=AgentsPage.older,
            empty=empty(
                "No agents yet",
                "An agent says how an assistant behaves. Each of your users then gets a smith, a private clone of it.",
                _new(),
                curl=curl("POST", Session.address, "/v1/agents", '{"name": "Concierge"}'),
            ),
        ),
        form_dialog(
            "new-agent",
            "New agent",
            "It begins as a draft. Nothing of it is live before you publish it.",
            field("name", "Name", id="new-agent-name", error=AgentsPage.error, max_length=120, required=True),
            deed="Create agent",
            on_submit=AgentsPage.create,
        ),
    )


def _new() -> rx.Component:
    return rx.cond(Session.builds, button("New agent", kind="main", icon="plus", opens="new-agent"))


def _cells(row: AgentRow) -> list[Any]:
    return [
        rx.el.span(row.name, class_name="note"),
        rx.cond(
            row.slug != "",
            rx.el.code(row.slug, class_name="clip", title=row.slug),
            rx.el.span("the project's default", class_name="muted"),
        ),
        rx.cond(row.live != "", row.live, badge("draft only")),
        rx.cond(
            row.rolling != "", rx.el.span(row.rolling, class_name="clip"), rx.cond(row.halted, badge("halted"), "–")
        ),
        row.smiths,
        relative_time(row.last_activity),
    ]
