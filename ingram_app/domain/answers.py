"""Answers: what a paused run waits for, given by people and by the caller's program, each once and in any order.

When the last one has come the run goes on. Whoever answers holds the run's row, so of two at once one is the first.
"""

from typing import Any

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.errors import Conflict, Invalid, NotFound, Refused
from ingram_app.domain import approvals, audit, leases, runs, tool_calls
from ingram_app.domain.access import Caller
from ingram_app.domain.approvals import Approval, ApprovalStatus
from ingram_app.domain.runs import PAUSED, Run, RunNotPaused, RunStatus
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
    `DecisionRequired`, `InvalidContent`, `ToolResultTooLarge`, `RunNotPaused`, and `ApprovalResolved` when somebody was
    faster.
    """
    caller.require("approvals:write")
    run = await _hold(session, caller, smith_id, run_id)
    asked = await approvals.of_run(session, run.project_id, run.id)
    approval = next((one for one in asked if one.id == approval_id), None)
    if run.status not in PAUSED and approval is None:
        raise RunNotPaused(run_id=run.id, status=run.status)
    if approval_id is None or decision not in DECISIONS:
        raise DecisionRequired(param="decision" if approval_id else "approval_id")
    if approval is None:
        raise NotFound(noun="approval", id=approval_id)
    tool_calls.check(content)
    approvals.check_decider(caller, approval, run.actor)
    if decision == "approve":
        approvals.check_content(approval, content)
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
    run = await _hold(session, caller, smith_id, run_id)
    if run.status not in PAUSED:
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


async def expire(session: AsyncSession, caller: Caller, approval_id: str) -> bool:
    """Close an approval whose time is over and have its run go on; return whether nobody was faster."""
    caller.require("approvals:write")
    mine = (Approval.project_id == caller.project_id, Approval.id == approval_id)
    smith_id, run_id = (await session.exec(select(Approval.smith_id, Approval.run_id).where(*mine))).one()
    run = await _hold(session, caller, smith_id, run_id)
    approval = (await session.exec(select(Approval).where(*mine))).one()
    if approval.status is not ApprovalStatus.pending or not approval.too_late:
        return False
    await approvals.resolve(session, caller, approval, ApprovalStatus.expired)
    await _go_on(session, run)
    return True


async def _hold(session: AsyncSession, caller: Caller, smith_id: str, run_id: str) -> Run:
    """Return a run that nobody else changes until the transaction ends. Raises `SmithMismatch`, `NotFound`."""
    caller.require_own(smith_id)
    query = select(Run).where(Run.project_id == caller.project_id, Run.smith_id == smith_id, Run.id == run_id)
    run = (await session.exec(query.with_for_update())).first()
    if run is None:
        raise NotFound(noun="run", id=run_id)
    return run


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
