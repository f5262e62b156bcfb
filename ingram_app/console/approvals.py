"""Approvals: the tool calls that wait for a person to say yes or no, and those that have."""

from datetime import datetime
from typing import Any

import reflex as rx

from ingram_app.console import filters
from ingram_app.console.address import asked, place_of
from ingram_app.console.deciding import Asked, asked_card, rows_of
from ingram_app.console.dialogs import code_button, code_drawer, curl
from ingram_app.console.following import renew, stirred
from ingram_app.console.lists import agent_filter, chips, empty, filter_set, pager, with_pill
from ingram_app.console.looks import head, skeleton
from ingram_app.console.session import Choice, Session, standing
from ingram_app.console.shell import page
from ingram_app.core import signals
from ingram_app.core.database import transaction
from ingram_app.domain import approvals
from ingram_app.domain.access import Caller
from ingram_app.domain.approvals import ApprovalStatus
from ingram_app.domain.paging import FIRST

_STATES = [("", "Waiting"), ("approved", "Approved"), ("rejected", "Rejected"), ("expired", "Expired"), ("all", "All")]


class ApprovalsPage(rx.State):
    rows: list[Asked] = []
    older: str = ""
    fresh: int = 0
    """Approvals that match and were asked for since the list was read."""
    more_fresh: bool = False
    choices: list[Choice] = []
    """Agents to filter by."""
    who: str = ""
    """The smith that the list is filtered by."""
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show a page of approvals; those that wait, unless the address says otherwise."""
        caller = await standing(self)
        wanted = _wanted(self)
        async with transaction(caller.tenancy) as session:
            found = await approvals.browse(session, caller, place_of(self), **wanted)
            self.rows = await rows_of(session, caller, found.data)
            self.choices = await filters.agent_choices(session, caller)
            self.who = await filters.whose(session, caller, wanted["smith_id"])
        self.older, self.fresh, self.more_fresh, self.loaded = found.next_cursor or "", 0, False, True

    @rx.event(background=True)
    async def watch(self):
        """Keep what is shown up to date, and count the approvals that are new."""
        caller = await standing(self)
        with signals.listening(approvals.topic(caller.project_id)) as heard:
            while True:
                await stirred(heard)
                caller = await standing(self)
                await self._look_again(caller)

    async def _look_again(self, caller: Caller) -> None:
        """What is decided meanwhile stays where it is, and says so; what is new waits behind a button."""
        shown, wanted, first_page = list(self.rows), _wanted(self), not asked(self, "cursor")
        async with transaction(caller.tenancy) as session:
            again = await approvals.known(session, caller, [row.id for row in shown])
            now = {row.id: row for row in await rows_of(session, caller, again)}
            newest = await approvals.browse(session, caller, FIRST, **wanted)
        since = datetime.fromisoformat(shown[0].at) if shown else None
        async with self:
            if renew(self.rows, shown, now) and first_page:
                known = now.keys()
                fresh = [
                    one for one in newest.data if one.id not in known and (since is None or one.created_at >= since)
                ]
                self.fresh, self.more_fresh = len(fresh), len(fresh) == FIRST.limit


def _wanted(state: rx.State) -> dict[str, Any]:
    """Return the filters in the address."""
    status = filters.one_of(ApprovalStatus, asked(state, "status") or ApprovalStatus.pending)
    return {"status": status, **filters.wanted(state, smith_id="smith", agent_id="agent")}


@page("/p/[project]/approvals", title="Approvals", on_load=[ApprovalsPage.load, ApprovalsPage.watch])
def approvals_page() -> rx.Component:
    return rx.fragment(
        head(
            "Approvals",
            "Tool calls that wait for a person, with exactly the arguments they would run with.",
            code_button(),
        ),
        rx.el.div(
            chips("status", _STATES, label="Status"),
            rx.cond(ApprovalsPage.choices.length() > 0, agent_filter(ApprovalsPage.choices)),
            filter_set("smith", "Smith", ApprovalsPage.who),
            class_name="filters",
        ),
        with_pill(ApprovalsPage.fresh, ApprovalsPage.more_fresh, ApprovalsPage.load, _list()),
        _code(),
    )


def _list() -> rx.Component:
    cards = rx.el.div(rx.foreach(ApprovalsPage.rows, asked_card), class_name="asked-cards")
    shown = rx.el.div(cards, pager(ApprovalsPage.older), class_name="stack")
    return rx.cond(ApprovalsPage.loaded, rx.cond(ApprovalsPage.rows.length() > 0, shown, _nothing()), skeleton())


def _nothing() -> rx.Component:
    filtered = rx.State.router.url.query != ""
    return rx.cond(
        filtered,
        rx.el.p("No approval matches.", class_name="muted none-match"),
        empty(
            "Nothing waits",
            "An agent's approval policy says which of its tools a person must approve. Such a call stands here until"
            " somebody decides; its run waits meanwhile.",
            curl=_listing(),
        ),
    )


def _listing() -> rx.Var[str]:
    return curl("GET", Session.address, "/v1/approvals?status=pending")


def _code() -> rx.Component:
    decision = '{"kind": "approval_decision", "approval_id": "apr_…", "decision": "approve"}'
    return code_drawer(
        ("List what waits", _listing()),
        ("Decide", curl("POST", Session.address, "/v1/smiths/smt_…/runs/run_…/submit", decision)),
    )
