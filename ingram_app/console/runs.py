"""Runs: every turn of every smith, newest first, live."""

from datetime import datetime
from typing import Any

import reflex as rx

from ingram_app.console import filters
from ingram_app.console.address import asked, days_of, place_of
from ingram_app.console.dialogs import curl
from ingram_app.console.figures import days
from ingram_app.console.following import renew, stirred
from ingram_app.console.lists import agent_filter, chips, days_filter, empty, filter_set, list_table, search, with_pill
from ingram_app.console.looks import head
from ingram_app.console.run_rows import COLUMNS, RunRow, cells, rows_of
from ingram_app.console.session import Choice, Session, standing
from ingram_app.console.shell import page
from ingram_app.core import signals
from ingram_app.core.database import transaction
from ingram_app.domain import runs
from ingram_app.domain.access import Caller
from ingram_app.domain.paging import FIRST, Place
from ingram_app.domain.runs import RunStatus

_STATES = [
    ("", "All"),
    ("running", "Running"),
    ("queued", "Queued"),
    ("paused_for_approval", "Waits for approval"),
    ("paused_for_tool", "Waits for a tool"),
    ("completed", "Completed"),
    ("failed", "Failed"),
    ("cancelled", "Cancelled"),
]


class RunsPage(rx.State):
    rows: list[RunRow] = []
    older: str = ""
    fresh: int = 0
    """Runs that match and have begun since the list was read."""
    more_fresh: bool = False
    choices: list[Choice] = []
    """Agents to filter by."""
    who: str = ""
    """The smith that the list is filtered by."""
    days: str = ""
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show a page of runs."""
        caller = await standing(self)
        wanted = _wanted(self)
        async with transaction(caller.tenancy) as session:
            found = await runs.browse(session, caller, place_of(self), **wanted)
            self.rows = await rows_of(session, caller, found.data)
            self.choices = await filters.agent_choices(session, caller)
            self.who = await filters.whose(session, caller, wanted["smith_id"])
        self.days = days(days_of(self))
        self.older, self.fresh, self.more_fresh, self.loaded = found.next_cursor or "", 0, False, True

    @rx.event(background=True)
    async def watch(self):
        """Keep the states of the rows shown up to date, and count the runs that are new."""
        caller = await standing(self)
        with signals.listening(runs.topic(caller.project_id)) as heard:
            while True:
                await stirred(heard)
                caller = await standing(self)
                await self._look_again(caller)

    async def _look_again(self, caller: Caller) -> None:
        shown, wanted = list(self.rows), _wanted(self)
        first_page = not asked(self, "cursor")
        async with transaction(caller.tenancy) as session:
            place = Place(limit=max(len(shown), 1))
            again = await runs.browse(session, caller, place, among=[row.id for row in shown])
            now = {row.id: row for row in await rows_of(session, caller, again.data)}
            since = {"since": datetime.fromisoformat(shown[0].at)} if shown else {}
            newer = await runs.browse(session, caller, FIRST, **wanted | since)
        async with self:
            if renew(self.rows, shown, now) and first_page:
                self.fresh = sum(run.id not in now for run in newer.data)
                self.more_fresh = newer.has_more


def _wanted(state: rx.State) -> dict[str, Any]:
    """Return the filters in the address."""
    words = {"smith_id": "smith", "agent_id": "agent", "thread_id": "thread", "external_id_prefix": "external_id"}
    period = days_of(state)
    when = dict(zip(("since", "until"), period.moments, strict=True)) if period else {}
    return {"status": filters.one_of(RunStatus, asked(state, "status")), **filters.wanted(state, **words), **when}


@page("/p/[project]/runs", title="Runs", on_load=[RunsPage.load, RunsPage.watch])
def runs_page() -> rx.Component:
    return rx.fragment(
        head("Runs", "Every turn of every smith: what was asked, what was answered, what it took."),
        _filters(),
        with_pill(RunsPage.fresh, RunsPage.more_fresh, RunsPage.load, _table()),
    )


def _table() -> rx.Component:
    return list_table(
        COLUMNS,
        RunsPage.rows,
        cells,
        label="Runs",
        href=lambda row: f"/p/{Session.project_id}/runs/{row.id}",
        loaded=RunsPage.loaded,
        older=RunsPage.older,
        empty=_nothing(),
    )


def _filters() -> rx.Component:
    return rx.el.div(
        chips("status", _STATES, label="Status"),
        rx.cond(RunsPage.choices.length() > 0, agent_filter(RunsPage.choices)),
        search("external_id", "External id begins with"),
        days_filter(),
        filter_set("from", "Days (UTC)", RunsPage.days, "to"),
        filter_set("smith", "Smith", RunsPage.who),
        filter_set("thread", "Thread", rx.State.router.url.query_parameters["thread"]),
        class_name="filters",
    )


def _nothing() -> rx.Component:
    filtered = rx.State.router.url.query != ""
    return rx.cond(
        filtered,
        rx.el.p("No run matches.", class_name="muted none-match"),
        empty(
            "No runs yet",
            "Each turn that a smith answers is a run, recorded here as it happens.",
            curl=curl(
                "POST",
                Session.address,
                "/v1/smiths/smt_…/runs",
                '{"input": [{"role": "user", "content": "Hello"}], "stream": true}',
            ),
        ),
    )
