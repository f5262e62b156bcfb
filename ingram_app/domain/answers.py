"""Answers: what a paused run waits for, given by people and by the caller's program, each once and in any order.

When the last one has come the run goes on. Whoever answers holds the run's row, so of two at once one is the first.
"""

from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.errors import Conflict, Invalid, NotFound, Refused
from ingram_app.domain import access, approvals, audit, leases, runs, tool_calls
from ingram_app.domain.access import Caller
from ingram_app.domain.approvals import Approval, ApprovalStatus
from ingram_app.domain.runs import Run, RunNotPaused, RunStatus
from ingram_app.domain.tool_calls import CallState, ToolKind

DECISIONS = {"approve": ApprovalStatus.approved, "reject": ApprovalStatus.rejected}


class DecisionRequired(Invalid):
    """An approval is decided with `approval_id` and a `decision`: approve or reject."""


class ToolCallRequired(Invalid):
    """A result is for one call: name it as `tool_call_id`."""


class ToolCallAnswered(Conflict):
    """The tool call {tool_call_id} has its result already: that stands."""


class ActorUnproven(Refused):
    """Only a tenant-admin token may say for whom it decides: leave `actor` out."""


async def decide(
    session: AsyncSession,
    caller: Caller,
    smith_id: str,
    run_id: str,
    *,
    approval_id: str | None,
    decision: str | None,
    reason: str | None = None,
    content: dict[str, Any] | None = None,
    actor: dict[str, Any] | None = None,
) -> Run:
    """Approve or reject a call that waits for it.

    Raises `SmithMismatch`, `NotFound`, `InsufficientScope`, `OperatorRequired`, `FourEyesRequired`, `ActorUnproven`,
    `DecisionRequired`, `ToolResultTooLarge`, `RunNotPaused`, and `ApprovalResolved` when somebody was faster.
    """
    caller.require("approvals:write")
    run = await runs.hold(session, caller, smith_id, run_id)
    asked = await approvals.of_run(session, run.project_id, run.id)
    approval = next((one for one in asked if one.id == approval_id), None)
    if not run.paused and approval is None:
        raise RunNotPaused(run_id=run.id, status=run.status)
    if approval_id is None or decision not in DECISIONS:
        raise DecisionRequired(param="decision" if approval_id else "approval_id")
    if approval is None:
        raise NotFound(noun="approval", id=approval_id)
    tool_calls.check(content)
    approvals.check_decider(caller, approval, run.actor)
    facts = {"actor": _decider(caller, actor), "reason": reason, "content": content}
    await approvals.resolve(session, caller, approval, DECISIONS[decision], **facts)
    await audit.note(session, caller, f"approval.{approval.status}", approval.id, tool=approval.tool, reason=reason)
    return await _go_on(session, run)


async def give(
    session: AsyncSession,
    caller: Caller,
    smith_id: str,
    run_id: str,
    *,
    tool_call_id: str | None,
    result: Any,
    is_error: bool = False,
) -> Run:
    """Give the result of a call that the caller's program was asked to do.

    Raises `SmithMismatch`, `NotFound`, `RunNotPaused`, `ToolCallRequired`, `ToolCallAnswered`,
    `ToolResultTooLarge`, `ToolResultUnkeepable`.
    """
    caller.require("runs:write")
    tool_calls.check(result)
    run = await runs.hold(session, caller, smith_id, run_id)
    if not run.paused:
        raise RunNotPaused(run_id=run.id, status=run.status)
    if tool_call_id is None:
        raise ToolCallRequired(param="tool_call_id")
    calls = await tool_calls.of_run(session, run.project_id, run.id)
    call = next((one for one in calls if one.tool_call_id == tool_call_id and one.kind is ToolKind.client), None)
    if call is None or call.state is CallState.asked:
        raise NotFound(noun="open tool call", id=tool_call_id)
    if call.state is not CallState.begun:
        raise ToolCallAnswered(tool_call_id=tool_call_id)
    call.state, call.result, call.is_error = CallState.done, result, is_error
    await tool_calls.finish(session, call)
    return await _go_on(session, run)


async def expire(session: AsyncSession, project_id: str, approval_id: str) -> None:
    """Close an approval whose time is over, if nobody was faster, and have its run go on if nothing else is open."""
    of_run = select(Approval.run_id).where(Approval.project_id == project_id, Approval.id == approval_id)
    run_id = (await session.exec(of_run)).first()
    locked = select(Run).where(Run.project_id == project_id, Run.id == run_id).with_for_update()
    run = (await session.exec(locked)).first()
    late = select(Approval).where(
        Approval.project_id == project_id, Approval.id == approval_id, col(Approval.status) == ApprovalStatus.pending
    )
    approval = (await session.exec(late)).first()
    if run is None or not run.paused or approval is None or not approval.too_late:
        return
    await approvals.resolve(session, access.platform(project_id), approval, ApprovalStatus.expired)
    await _go_on(session, run)


async def _go_on(session: AsyncSession, run: Run) -> Run:
    """Have the run go on, if nothing is open any more; say what is, if something is."""
    asked = await approvals.of_run(session, run.project_id, run.id)
    handed_out = await tool_calls.handed_out(session, run.project_id, run.id)
    if any(approval.status is ApprovalStatus.pending for approval in asked):
        run.status = RunStatus.paused_for_approval
    elif handed_out:
        run.status = RunStatus.paused_for_tool
    else:
        await leases.resume(session, run)
        return run
    run.output = {"tool_calls": [tool_calls.shown(call) for call in handed_out]} if handed_out else None
    session.add(run)
    runs.changed(session, run)
    return run


def _decider(caller: Caller, actor: dict[str, Any] | None) -> dict[str, str | None]:
    """Return who is written down as the one who decided. Raises `ActorUnproven`."""
    proven = caller.actor.as_json()
    if actor is None:
        return proven
    if caller.actor.kind != "tenant":
        raise ActorUnproven(param="actor")
    said = {name: actor[name] for name in ("id", "email") if isinstance(actor.get(name), str)}
    return proven | said
