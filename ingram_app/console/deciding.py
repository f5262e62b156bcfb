"""Deciding: an approval as pages show it, with its arguments in full, and what approves or rejects it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import reflex as rx
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.console import questions
from ingram_app.console.figures import author, legible, moment
from ingram_app.console.looks import badge, button, code, link, relative_time
from ingram_app.console.questions import Blank
from ingram_app.console.run_rows import called
from ingram_app.console.session import Session, standing
from ingram_app.core.database import transaction
from ingram_app.domain import agents, answers, approvals, smiths
from ingram_app.domain.access import Caller
from ingram_app.domain.agents import Agent
from ingram_app.domain.approvals import Approval
from ingram_app.domain.smiths import Smith

MOST = 20_000
"""Letters of arguments, or of a result, that a page shows."""


@dataclass
class Asked:
    """An approval as a page shows it."""

    id: str
    run: str
    who: str
    smith_path: str
    """Its page; the agent's for one that tries the draft."""
    agent: str
    agent_path: str
    tool: str
    args: str
    status: str
    at: str
    expires: str
    decided: str
    by: str
    reason: str
    four_eyes: bool
    question: str
    """What the tool wants to know first; empty for a plain yes or no."""
    page: str
    blanks: list[Blank]

    @classmethod
    def of(cls, approval: Approval, smith: Smith, agent: Agent) -> "Asked":
        root = f"/p/{approval.project_id}"
        agent_path = f"{root}/agents/{agent.id}"
        return cls(
            id=approval.id,
            run=approval.run_id,
            who=called(smith),
            smith_path=f"{root}/smiths/{smith.id}" if smith.tester_id is None else agent_path,
            agent=agent.name,
            agent_path=agent_path,
            tool=approval.tool,
            args=spelt(approval.args),
            status=approval.status.value,
            at=moment(approval.created_at),
            expires=moment(approval.expires_at),
            decided=moment(approval.resolved_at),
            by=author(approval.actor) if approval.actor else "",
            reason=approval.reason or "",
            four_eyes=approval.four_eyes,
            question=questions.message(approval.elicitation),
            page=questions.page(approval.elicitation),
            blanks=questions.blanks(approval.elicitation),
        )


class Deciding(rx.State):
    @rx.event
    async def approve(self, approval_id: str):
        """Let the call be made, with the arguments that are shown."""
        caller = await standing(self)
        await _decide(caller, approval_id, "approve")

    @rx.event
    async def answer(self, form: dict[str, Any]):
        """Give what a tool's server wants to know, and let the call be made."""
        caller = await standing(self)
        await _decide(caller, str(form.get("approval", "")), "approve", form=form)

    @rx.event
    async def reject(self, form: dict[str, Any]):
        """Have the call not made; the model is told why."""
        caller = await standing(self)
        reason = str(form.get("reason", "")).strip()[:2000]
        await _decide(caller, str(form.get("approval", "")), "reject", reason or None)


async def _decide(
    caller: Caller, approval_id: str, decision: str, reason: str | None = None, form: dict[str, Any] | None = None
) -> None:
    async with transaction(caller.tenancy) as session:
        asked = await approvals.find(session, caller, approval_id)
        which = (asked.smith_id, asked.run_id)
        content = questions.content(asked.elicitation, form) if form else None
        terms = {"approval_id": asked.id, "decision": decision, "reason": reason, "content": content}
        await answers.decide(session, caller, *which, **terms)


async def rows_of(session: AsyncSession, caller: Caller, found: Sequence[Approval]) -> list[Asked]:
    """Return approvals as they are shown."""
    known = await smiths.known(session, caller, {approval.smith_id for approval in found})
    design = await agents.known(session, caller, {approval.agent_id for approval in found})
    return [Asked.of(approval, known[approval.smith_id], design[approval.agent_id]) for approval in found]


def spelt(value: Any) -> str:
    """Return arguments or a result for people to read: nothing in it is there unseen."""
    text = legible(_plain(value))
    return (
        text if len(text) <= MOST else f"{text[:MOST]}\n… and {len(text) - MOST:,} letters more; the API has all of it."
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def asked_card(row: Asked) -> rx.Component:
    """Show one approval. The keys `a` and `r` decide the one that has the focus."""
    return rx.el.article(
        rx.el.header(
            link(rx.el.code(row.tool), href=f"/p/{Session.project_id}/runs/{row.run}", title="Open the run"),
            badge(rx.cond(row.status == "pending", "waits for a decision", row.status)),
            rx.el.span(
                link(row.who, href=row.smith_path, class_name="clip", title=f"Smith {row.who}"),
                rx.el.span("Agent ", link(row.agent, href=row.agent_path, class_name="clip", title=row.agent)),
                class_name="whose",
            ),
            rx.el.span(relative_time(row.at), class_name="muted"),
        ),
        code(row.args, f"Arguments of {row.tool}, {row.id}"),
        rx.cond(row.status == "pending", _deeds(row), _outcome(row)),
        class_name="asked-card",
        custom_attrs={"data-row": ""},
    )


def _deeds(row: Asked) -> rx.Component:
    notes = rx.fragment(
        rx.cond(row.expires != "", rx.el.p("Expires ", relative_time(row.expires), ".", class_name="muted small")),
        rx.cond(row.four_eyes, rx.el.p("Not for whoever started the run to decide.", class_name="muted small")),
    )
    approve = button("Approve", kind="main", icon="check", on_click=Deciding.approve(row.id))
    approve.custom_attrs["data-press"] = "a"
    answer = rx.el.form(
        rx.el.input(type="hidden", name="approval", value=row.id),
        questions.asking(row.id, row.question, row.page, row.blanks),
        button("Answer", kind="main", icon="check", type="submit"),
        on_submit=Deciding.answer,
    )
    reject = rx.el.details(
        rx.el.summary("Reject …", class_name="button", custom_attrs={"data-press": "r"}),
        rx.el.form(
            rx.el.input(type="hidden", name="approval", value=row.id),
            rx.el.div(
                rx.el.label("Why? The model is told.", html_for=f"why-{row.id}"),
                rx.el.textarea(id=f"why-{row.id}", name="reason", class_name="input", rows=2, max_length=2000),
                class_name="field",
            ),
            button("Reject", kind="danger", type="submit"),
            on_submit=Deciding.reject,
        ),
    )
    decide = rx.cond(
        row.question != "",
        rx.el.div(answer, reject, class_name="stack"),
        rx.el.div(approve, reject, class_name="row top"),
    )
    asked = rx.cond(row.question != "", rx.el.p(row.question, class_name="question"))
    return rx.el.div(notes, rx.cond(Session.builds, decide, asked), class_name="stack tight")


def _outcome(row: Asked) -> rx.Component:
    words = rx.match(row.status, ("approved", "Approved"), ("rejected", "Rejected"), "Nobody decided")
    return rx.el.p(
        words,
        rx.cond(row.by != "", f" by {row.by}", ""),
        " ",
        relative_time(row.decided),
        rx.cond(row.reason != "", rx.el.q(row.reason)),
        class_name="muted small",
    )
