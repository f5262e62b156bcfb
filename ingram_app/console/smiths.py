"""Smiths: each is one end user's own clone of an agent."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console import filters
from ingram_app.console.address import asked, place_of
from ingram_app.console.dialogs import close_dialog, curl, form_dialog, open_dialog
from ingram_app.console.figures import counted, moment
from ingram_app.console.lists import agent_filter, chips, empty, list_table, search
from ingram_app.console.looks import alert, button, field, head, relative_time
from ingram_app.console.run_rows import called
from ingram_app.console.session import Choice, Session, standing
from ingram_app.console.shell import page
from ingram_app.core.database import transaction
from ingram_app.core.errors import Conflict, Invalid, NotFound
from ingram_app.core.ids import is_id
from ingram_app.domain import customers, rosters, smiths
from ingram_app.domain.customers import Customer
from ingram_app.domain.smiths import Clone


@dataclass
class SmithRow:
    id: str
    who: str
    name: str
    design: str
    version: str
    pinned: bool
    customer: str
    """What it is called."""
    created: str

    @classmethod
    def of(cls, clone: Clone, names: dict[str, Customer] | None = None) -> "SmithRow":
        smith = clone.smith
        return cls(
            id=smith.id,
            who=called(smith),
            name=smith.display_name or "",
            design=clone.agent.name,
            version=f"Version {clone.version}" if clone.version else "none yet",
            pinned=smith.pin is not None,
            customer=names[smith.customer_id].name if names and smith.customer_id else "",
            created=moment(smith.created_at),
        )


class SmithsPage(rx.State):
    rows: list[SmithRow] = []
    older: str = ""
    picked: list[str] = []
    """The smiths that are to be attached."""
    error: str = ""
    choices: list[Choice] = []
    """Agents to filter by, and to make a smith of; the default one comes first."""
    loaded: bool = False
    load_count: int = 0
    """With it the ticks are taken off."""

    @rx.event
    async def load(self):
        """Show a page of smiths."""
        caller = await standing(self)
        wanted = filters.wanted(self, external_id_prefix="external_id", agent_id="agent", customer_id="customer")
        if asked(self, "anonymous"):
            wanted["external_id_prefix"] = wanted["external_id_prefix"] or smiths.ANONYMOUS
        async with transaction(caller.tenancy) as session:
            found = await smiths.browse(session, caller, place_of(self), **wanted)
            self.choices = await filters.agent_choices(session, caller)
            theirs = {clone.smith.customer_id for clone in found.data if clone.smith.customer_id}
            names = await customers.known(session, caller, theirs)
        self.rows, self.older = [SmithRow.of(clone, names) for clone in found.data], found.next_cursor or ""
        self.loaded, self.load_count = True, self.load_count + 1

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

    @rx.event
    async def pick(self, form: dict[str, Any]):
        """Ask which agent the smiths that were ticked are to run."""
        await standing(self)
        self.picked, self.error = [name for name in form if is_id(name, "smt")], ""
        return open_dialog("attach-smiths") if self.picked else None

    @rx.event
    async def attach(self, form: dict[str, Any]):
        """Have them run it."""
        caller = await standing(self)
        try:
            async with transaction(caller.tenancy) as session:
                roster = await rosters.attach(session, caller, str(form.get("agent_id", "")), smith_ids=self.picked)
        except (Invalid, Conflict, NotFound) as error:
            self.error = error.sentence
            return None
        said = f"{counted(roster.moved, 'smith')} attached" if roster.moved else "They run this agent already"
        return [close_dialog("attach-smiths"), SmithsPage.load, rx.toast.success(said)]


@page("/p/[project]/smiths", title="Smiths", on_load=SmithsPage.load)
def smiths_page() -> rx.Component:
    return rx.fragment(
        head("Smiths", "Each is one end user's private clone of an agent, with threads and memory of its own.", _new()),
        _filters(),
        rx.el.form(
            list_table(
                ["External id", "Name", "Agent", "Version", "Customer", "Created", ""],
                SmithsPage.rows,
                _cells,
                label="Smiths",
                href=lambda row: f"/p/{Session.project_id}/smiths/{row.id}",
                loaded=SmithsPage.loaded,
                older=SmithsPage.older,
                empty=_nothing(),
            ),
            rx.cond(
                Session.builds,
                rx.el.div(button("Attach to another agent …", icon="link", type="submit"), class_name="picked"),
            ),
            on_submit=SmithsPage.pick,
            key=SmithsPage.load_count,
            class_name="bare",
        ),
        _dialog(),
        _attach_dialog(),
    )


def _new() -> rx.Component:
    return rx.cond(Session.builds, button("New smith", kind="main", icon="plus", opens="new-smith"))


def _filters() -> rx.Component:
    return rx.el.div(
        chips("anonymous", [("", "All"), ("1", "Anonymous")], label="Who"),
        agent_filter(SmithsPage.choices),
        search("external_id", "External id begins with"),
        search("customer", "Customer's id"),
        class_name="filters",
    )


def _cells(row: SmithRow) -> list[Any]:
    return [
        rx.el.span(row.who, class_name="clip wide", title=row.who),
        rx.cond(row.name != "", row.name, "–"),
        rx.el.span(row.design, class_name="clip", title=row.design),
        rx.el.span(row.version, rx.cond(row.pinned, rx.el.span("pinned", class_name="badge accent")), class_name="row"),
        rx.cond(row.customer != "", rx.el.span(row.customer, class_name="clip", title=row.customer), "–"),
        relative_time(row.created),
        rx.cond(Session.builds, _box(row)),
    ]


def _box(row: SmithRow) -> rx.Component:
    box = rx.el.input(type="checkbox", name=row.id, aria_label=rx.Var.create(f"Select {row.who}"))
    return rx.el.label(box, class_name="box")


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
        _agent("new-smith-agent"),
        deed="Create smith",
        on_submit=SmithsPage.create,
    )


def _attach_dialog() -> rx.Component:
    return form_dialog(
        "attach-smiths",
        f"Attach {SmithsPage.picked.length()} of the smiths",
        "They run the agent from the next turn on. What they override stays; a pin to a version of theirs goes.",
        _agent("attach-agent"),
        alert(SmithsPage.error),
        deed="Attach",
        on_submit=SmithsPage.attach,
    )


def _agent(id: str) -> rx.Component:
    return rx.el.div(
        rx.el.label("Agent", html_for=id),
        rx.el.select(
            rx.foreach(SmithsPage.choices, lambda choice: rx.el.option(choice.name, value=choice.id)),
            id=id,
            name="agent_id",
            class_name="input",
        ),
        class_name="field",
    )
