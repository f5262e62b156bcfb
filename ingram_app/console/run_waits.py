"""What one run waits for: people who decide, and the caller's program. Shown on the run's page, and answered there."""

import json
from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.address import is_at, named
from ingram_app.console.deciding import Asked, asked_card, rows_of, spelt
from ingram_app.console.following import stirred
from ingram_app.console.looks import button, code, field_note
from ingram_app.console.session import Session, standing
from ingram_app.core import signals
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound
from ingram_app.domain import answers, approvals, frames, runs, tool_calls
from ingram_app.domain.access import Caller
from ingram_app.domain.approvals import ApprovalStatus
from ingram_app.domain.runs import PAUSED

_EMPTY = 'A result that is empty is written as null, or as "".'
_MISSING = 'Write the result first. One that is empty is written as null, or as "".'


@dataclass
class Owed:
    """A call that the caller's program is to make."""

    id: str
    tool: str
    args: str


class RunWaits(rx.State):
    run_id: str = ""
    """Which run it is that waits."""
    asked: list[Asked] = []
    owed: list[Owed] = []
    lacking: str = ""
    """The call whose result was submitted and left empty."""

    @rx.event(background=True)
    async def watch(self):
        """Show what the run waits for, whenever that changes."""
        caller = await standing(self)
        wanted = named(self, "runs")
        with signals.listening(frames.topic(wanted), approvals.topic(caller.project_id)) as heard:
            while True:
                asked, owed = await _of(caller, wanted)
                async with self:
                    if named(self, "runs") != wanted:
                        return
                    if (self.run_id, self.asked, self.owed) != (wanted, asked, owed):
                        self.run_id, self.asked, self.owed = wanted, asked, owed
                await stirred(heard)
                caller = await standing(self)

    @rx.event
    async def give(self, form: dict[str, Any]):
        """Give the result of a call in the place of the caller's program: JSON, or else text, but not nothing."""
        caller = await standing(self)
        which, said = str(form.get("call", "")), str(form.get("result", ""))
        self.lacking = "" if said.strip() else which
        if self.lacking:
            return
        try:
            result = json.loads(said)
        except ValueError:
            result = said
        failed = bool(form.get("failed"))
        async with transaction(caller.tenancy) as session:
            run = await runs.look_up(session, caller, named(self, "runs"))
            terms = {"tool_call_id": which, "result": result, "is_error": failed}
            await answers.give(session, caller, run.smith_id, run.id, **terms)


async def _of(caller: Caller, run_id: str) -> tuple[list[Asked], list[Owed]]:
    async with transaction(caller.tenancy) as session:
        try:
            run = await runs.look_up(session, caller, run_id)
        except NotFound:
            return [], []
        if run.status not in PAUSED:
            return [], []
        found = await approvals.of_run(session, run.project_id, run.id)
        pending = [approval for approval in found if approval.status is ApprovalStatus.pending]
        calls = await tool_calls.handed_out(session, run.project_id, run.id)
        owed = [Owed(call.tool_call_id, call.tool, spelt(call.args)) for call in calls]
        return await rows_of(session, caller, pending), owed


def waits() -> rx.Component:
    return rx.cond(
        ((RunWaits.asked.length() > 0) | (RunWaits.owed.length() > 0)) & is_at(RunWaits.run_id),
        rx.el.section(
            rx.el.h2("Waits for an answer", class_name="visually-hidden"),
            rx.foreach(RunWaits.asked, asked_card),
            rx.foreach(RunWaits.owed, _owed),
            class_name="asked-cards",
            aria_label="What the run waits for",
        ),
    )


def _owed(call: Owed) -> rx.Component:
    about = "Your program is to do this, and to submit the result. You can give it here in its place."
    form = rx.el.form(
        rx.el.input(type="hidden", name="call", value=call.id),
        rx.el.div(
            rx.el.label("Result, JSON or text", html_for=f"result-{call.id}"),
            rx.el.textarea(
                id=f"result-{call.id}",
                name="result",
                class_name="input",
                rows=3,
                aria_required="true",
                aria_invalid=rx.cond(RunWaits.lacking == call.id, "true", "false"),
                aria_describedby=f"result-{call.id}-about",
            ),
            field_note(f"result-{call.id}", _EMPTY, rx.cond(RunWaits.lacking == call.id, _MISSING, "")),
            class_name="field",
        ),
        rx.el.label(rx.el.input(type="checkbox", name="failed"), " It failed", class_name="check"),
        button("Submit the result", kind="main", type="submit"),
        on_submit=RunWaits.give,
    )
    return rx.el.article(
        rx.el.header(rx.el.code(call.tool), rx.el.span("waits for your program", class_name="badge amber")),
        rx.el.p(about, class_name="muted small"),
        code(call.args, f"Arguments of {call.tool}, {call.id}"),
        rx.cond(Session.builds, form),
        class_name="asked-card",
    )
