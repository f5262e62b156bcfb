"""/v1/smiths/{id}/runs/{id}/submit: answer a run that waits, or stop it in any live state."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from ingram_app.api.deps import Caller, Route, claim
from ingram_app.api.runs import RunOut, ended, rendered, stream
from ingram_app.api.shapes import In, Out
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid
from ingram_app.domain import access, answers, frames, runs
from ingram_app.domain.idempotency import IdempotencyInProgress
from ingram_app.domain.runs import PAUSED, Run, RunNotPaused, RunStatus

router = APIRouter(tags=["runs"], route_class=Route)


class Answer(In):
    kind: str
    approval_id: str | None = None
    decision: Literal["approve", "reject"] | None = None
    content: dict[str, Any] | None = None
    tool_call_id: str | None = None
    result: Any = None
    is_error: bool = False
    actor: dict[str, Any] | None = None
    reason: str | None = Field(default=None, max_length=2000)
    stream: bool = False


class InvalidKind(Invalid):
    """`kind` is approval_decision, tool_result or cancel, not {kind}."""


class CancelledOut(Out):
    id: str
    status: Literal["cancelled"]


@dataclass(frozen=True, slots=True)
class Submitted:
    """A run that has taken in an answer, now or when the same request came first."""

    run: Run
    latest: int
    """The number of its last frame at that moment."""
    again: bool = False


async def _submit(request: Request, smith_id: str, run_id: str, body: Answer, caller: Caller) -> Submitted:
    """Take the answer in in a transaction of its own, so that the run goes on before the request is answered."""
    if body.kind not in _TAKE:
        raise InvalidKind(kind=body.kind[:40], param="kind")
    async with transaction(caller.tenancy) as session:
        known = await claim(request, caller, session)
        if known is not None and known.resource_id is not None:
            run = await runs.find(session, caller, smith_id, run_id, may="runs:write")
            return Submitted(run, await frames.latest(session, run_id), again=True)
        run = await _TAKE[body.kind](session, caller, smith_id, run_id, body)
        if known is not None:
            known.resource_id = run.id
        return Submitted(run, await frames.latest(session, run_id))


@router.post("/smiths/{smith_id}/runs/{run_id}/submit", response_model=RunOut | CancelledOut)
async def submit(body: Answer, caller: Caller, submitted: Annotated[Submitted, Depends(_submit)]) -> Response:
    """Decide an approval, give a tool's result, or cancel. Answers when the run has ended, or waits again.

    `approval_decision` takes `approval_id` and `decision`, `tool_result` takes `tool_call_id` and `result`. The run
    goes on when nothing is open any more; `stream` answers with the frames from there on (SSE).
    """
    run, before = submitted.run, max(submitted.latest - 1, 0)
    if body.kind == "cancel":
        return await _cancelled(run)
    if submitted.again and not (run.over or run.status in PAUSED):
        raise IdempotencyInProgress()
    if body.stream:
        return stream(run, before)
    headers = {"Idempotency-Replayed": "true"} if submitted.again else {}
    shown = rendered(await ended(run, before, at_hand=False))
    return Response(shown, headers=headers, media_type="application/json")


async def _cancelled(run: Run) -> Response:
    if run.status is not RunStatus.cancelled:
        run = await ended(run, at_hand=False)
    if run.status is not RunStatus.cancelled:
        raise RunNotPaused(run_id=run.id, status=run.status)
    shown = CancelledOut(id=run.id, status="cancelled")
    return Response(shown.model_dump_json(), media_type="application/json")


async def _decide(session: Any, caller: access.Caller, smith_id: str, run_id: str, body: Answer) -> Run:
    return await answers.decide(
        session,
        caller,
        smith_id,
        run_id,
        approval_id=body.approval_id,
        decision=body.decision,
        reason=body.reason,
        content=body.content,
        actor=body.actor,
    )


async def _give(session: Any, caller: access.Caller, smith_id: str, run_id: str, body: Answer) -> Run:
    result = {"tool_call_id": body.tool_call_id, "result": body.result, "is_error": body.is_error}
    return await answers.give(session, caller, smith_id, run_id, **result)


async def _cancel(session: Any, caller: access.Caller, smith_id: str, run_id: str, body: Answer) -> Run:
    return await runs.cancel(session, caller, smith_id, run_id, body.reason)


_TAKE = {"approval_decision": _decide, "tool_result": _give, "cancel": _cancel}
