"""Smiths: each is one end user's own clone of an agent."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.address import asked, place_of
from ingram_app.console.dialogs import close_dialog, curl, form_dialog
from ingram_app.console.figures import moment
from ingram_app.console.lists import agent_filter, chips, empty, list_table, search
from ingram_app.console.looks import button, field, head, relative_time
from ingram_app.console.run_rows import called
from ingram_app.console.session import Choice, Session, standing
from ingram_app.console.shell import page
from ingram_app.core.database import transaction
from ingram_app.domain import agents, smiths
from ingram_app.domain.paging import Place
from ingram_app.domain.smiths import Clone

_ANONYMOUS = "anon:"
_CHOICES = Place(limit=99)


@dataclass
class SmithRow:
    id: str
    who: str
    name: str
    design: str
    created: str

    @classmethod
    def of(cls, clone: Clone) -> "SmithRow":
        smith = clone.smith
        return cls(
            id=smith.id,
            who=called(smith),
            name=smith.display_name or "",
            design=clone.agent.name,
            created=moment(smith.created_at),
        )


class SmithsPage(rx.State):
    rows: list[SmithRow] = []
    older: str = ""
    choices: list[Choice] = []
    """Agents to filter by, and to make a smith of; the default one comes first."""
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show a page of smiths."""
        caller = await standing(self)
        begins = asked(self, "external_id") or (_ANONYMOUS if asked(self, "anonymous") else "")
        async with transaction(caller.tenancy) as session:
            found = await smiths.browse(
                session,
                caller,
                place_of(self),
                external_id_prefix=begins or None,
                agent_id=asked(self, "agent") or None,
            )
            standard = await agents.the_default(session, caller)
            designs = (await agents.browse(session, caller, _CHOICES)).data
        self.rows, self.older = [SmithRow.of(clone) for clone in found.data], found.next_cursor or ""
        others = sorted((agent for agent in designs if not agent.is_default), key=lambda agent: agent.name.lower())
        self.choices = [Choice(agent.id, agent.name) for agent in (standard, *others)]
        self.loaded = True

    @rx.event
    async def create(self, form: dict[str, Any]):
        """Make a smith, or find the one that is there, and open it."""
        caller = await standing(self)
        given = {name: str(form.get(name, "")).strip() or None for name in ("external_id", "display_name", "agent_id")}
        async with transaction(caller.tenancy) as session:
            clone, new = await smiths.create(session, caller, given)
        there = rx.redirect(f"/p/{caller.project_id}/smiths/{clone.smith.id}")
        said = [] if new else [rx.toast.info("There is already a smith with this external id. Here it is.")]
        return [close_dialog("new-smith"), there, *said]


@page("/p/[project]/smiths", title="Smiths", on_load=SmithsPage.load)
def smiths_page() -> rx.Component:
    return rx.fragment(
        head("Smiths", "Each is one end user's private clone of an agent, with threads and memory of its own.", _new()),
        _filters(),
        list_table(
            ["External id", "Name", "Agent", "Created"],
            SmithsPage.rows,
            _cells,
            label="Smiths",
            href=lambda row: f"/p/{Session.project_id}/smiths/{row.id}",
            loaded=SmithsPage.loaded,
            older=SmithsPage.older,
            empty=_nothing(),
        ),
        _dialog(),
    )


def _new() -> rx.Component:
    return rx.cond(Session.builds, button("New smith", kind="main", icon="plus", opens="new-smith"))


def _filters() -> rx.Component:
    return rx.el.div(
        chips("anonymous", [("", "All"), ("1", "Anonymous")], label="Who"),
        agent_filter(SmithsPage.choices),
        search("external_id", "External id begins with"),
        class_name="filters",
    )


def _cells(row: SmithRow) -> list[Any]:
    return [
        rx.el.span(row.who, class_name="clip wide", title=row.who),
        rx.cond(row.name != "", row.name, "–"),
        row.design,
        relative_time(row.created),
    ]


def _nothing() -> rx.Component:
    return rx.cond(
        rx.State.router.url.query != "",
        rx.el.p("No smith matches.", class_name="muted none-match"),
        empty(
            "No smiths yet",
            "Make one for each of your users, under the id you know them by. Asking twice gives the same smith.",
            _new(),
            curl=curl("POST", Session.address, "/v1/smiths", '{"external_id": "user_42"}'),
        ),
    )


def _dialog() -> rx.Component:
    return form_dialog(
        "new-smith",
        "New smith",
        "Your product makes these by API, one for each user. This one is for trying things out.",
        field("external_id", "External id", help="The id you know the user by. Optional.", max_length=200),
        field("display_name", "Display name", help="Optional.", max_length=200),
        rx.el.div(
            rx.el.label("Agent", html_for="new-smith-agent"),
            rx.el.select(
                rx.foreach(SmithsPage.choices, lambda choice: rx.el.option(choice.name, value=choice.id)),
                id="new-smith-agent",
                name="agent_id",
                class_name="input",
            ),
            class_name="field",
        ),
        deed="Create smith",
        on_submit=SmithsPage.create,
    )
