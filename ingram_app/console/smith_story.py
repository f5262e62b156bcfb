"""A smith's page, first: what it runs, what was said last, and what it cost this month."""

from datetime import datetime

import reflex as rx

from ingram_app.console.address import asked, named
from ingram_app.console.differences import label
from ingram_app.console.figures import counted, moment, money
from ingram_app.console.looks import badge, link, relative_time
from ingram_app.console.session import Session, standing
from ingram_app.core.clock import now
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound
from ingram_app.domain import activity, smiths, threads, turns
from ingram_app.domain.activity import Activity
from ingram_app.domain.runs import Run
from ingram_app.domain.smiths import Clone

_SHOWN = 600
"""Characters of what was said."""


class SmithStory(rx.State):
    runs_what: str = ""
    own: str = ""
    """The fields that are its own."""
    asked: str = ""
    answered: str = ""
    run_id: str = ""
    status: str = ""
    at: str = ""
    took: str = ""
    cost: str = ""
    said_in_all: str = ""

    @rx.event
    async def load(self):
        """Tell of the smith that the address names."""
        caller = await standing(self)
        if asked(self, "tab"):
            return
        smith_id = named(self, "smiths")
        try:
            async with transaction(caller.tenancy) as session:
                clone = await smiths.find(session, caller, smith_id)
                did = await activity.of(session, caller, smith_id, _this_month())
                held, said = await threads.totals(session, caller, smith_id)
        except NotFound:
            return self.reset()  # the page says so
        self._show(clone, did)
        self.said_in_all = f"{counted(said, 'turn')} in {counted(held, 'thread')} so far."

    def _show(self, clone: Clone, did: Activity) -> None:
        self.runs_what = _runs_what(clone)
        self.own = ", ".join(label(field) for field in sorted(clone.smith.overrides))
        self.took = f"{counted(did.runs, 'run')}, {counted(did.failed, 'failure')}, {counted(did.tokens, 'token')}"
        self.cost = money(did.cost_micros)
        run = did.last
        self.run_id, self.status = (run.id, run.status.value) if run else ("", "")
        self.asked, self.answered = (_asked(run), _answered(run)) if run else ("", "")
        self.at = moment(run.created_at) if run else ""


def _this_month() -> datetime:
    return now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _runs_what(clone: Clone) -> str:
    if clone.version is None:
        return f"{clone.agent.name}, which has never been published"
    if clone.smith.pin is not None:
        return f"{clone.agent.name}, pinned to version {clone.version}"
    trying = clone.version == clone.agent.rollout_version and clone.version != clone.agent.active_version
    return f"{clone.agent.name}, version {clone.version}{', which is rolling out' if trying else ''}"


def _asked(run: Run) -> str:
    said = [turns.words(message["content"]) for message in run.input if message["role"] == "user"]
    return _short("\n".join(said))


def _answered(run: Run) -> str:
    if run.error is not None:
        return run.error["message"]
    return _short(str((run.output or {}).get("content") or ""))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " …"


def story() -> rx.Component:
    """Three sentences about a person's smith."""
    return rx.el.dl(
        _part(
            "Runs",
            rx.el.p(SmithStory.runs_what),
            rx.el.p(
                rx.cond(
                    SmithStory.own != "", f"Of its own: {SmithStory.own}.", "Everything it runs with is the agent's."
                ),
                class_name="muted small",
            ),
        ),
        _part("Said last", rx.cond(SmithStory.run_id != "", _last(), rx.el.p("Nothing yet.", class_name="muted"))),
        _part(
            "This month",
            rx.el.p(rx.el.strong(SmithStory.cost), " for ", SmithStory.took),
            rx.el.p(SmithStory.said_in_all, class_name="muted small"),
        ),
        class_name="tale",
        aria_label="In short",
    )


def _last() -> rx.Component:
    answer = rx.el.p(SmithStory.answered, class_name=rx.cond(SmithStory.status == "failed", "words wrong", "words"))
    return rx.fragment(
        rx.el.p(SmithStory.asked, class_name="words asked"),
        rx.cond(SmithStory.answered != "", answer),
        rx.el.p(
            relative_time(SmithStory.at),
            badge(SmithStory.status),
            link("Look into the run", href=f"/p/{Session.project_id}/runs/{SmithStory.run_id}"),
            class_name="row small muted",
        ),
    )


def _part(name: str, *told: rx.Component) -> rx.Component:
    return rx.el.div(rx.el.dt(name), rx.el.dd(*told))
