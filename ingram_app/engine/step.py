"""A step: the tool calls of one answer of the model, from the asking to the returns.

Calls that need nobody are made at once, side by side. What waits for a person or for the caller's program stays open:
the run pauses, and whoever takes it up again goes on with the same step. Each call is kept before it is made and
after, so a carrier that dies leaves behind what is known: a call that may have had an effect is never made again.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic_ai.messages import ModelMessage, ModelRequestPart, ModelResponse, ToolReturnPart

from ingram_app.core.database import transaction
from ingram_app.core.ids import new_id
from ingram_app.domain import access, approvals, event_types, events, leases, tool_calls
from ingram_app.domain.approvals import Approval, ApprovalStatus
from ingram_app.domain.frames import (
    AnyFrame,
    ApprovalRequired,
    MessageCompleted,
    RunPaused,
    ToolCompleted,
    ToolExecuting,
    ToolRequired,
)
from ingram_app.domain.leases import Lease, Pause
from ingram_app.domain.model_calls import Call
from ingram_app.domain.runs import RunStatus
from ingram_app.domain.tool_calls import CallState, ToolCall, ToolKind
from ingram_app.domain.transcripts import Transcript
from ingram_app.engine.scribe import Scribe
from ingram_app.engine.toolbox import Toolbox, refused
from ingram_app.engine.tools import ToolAsks, ToolRefused, ToolUnavailable, Use

log = logging.getLogger(__name__)
UNKNOWN = (
    "The outcome is unknown: the call was made, and then the connection was lost. It may have had its effect. It was"
    " not made again; find out before you make it again."
)
SWAPPED = "The call was not made: its arguments are not those that were approved."


class Step:
    """The calls of one step, as far as they have come."""

    def __init__(
        self, lease: Lease, scribe: Scribe, toolbox: Toolbox, number: int, warn: Callable[[str, str], None]
    ) -> None:
        self._lease = lease
        self._scribe = scribe
        self._toolbox = toolbox
        self._number = number
        self._warn = warn
        self.calls: list[ToolCall] = []
        self._approvals: list[Approval] = []
        """Those that the run has asked for, oldest first."""

    async def begin(self, response: ModelResponse, transcript: Transcript, calls: list[Call]) -> None:
        """Keep what the model asks for, together with its answer and what that took. Raises `LeaseLost`."""
        asked = enumerate(response.tool_calls)
        self.calls = [self._toolbox.placed(call, self._number, place) for place, call in asked]
        said: list[AnyFrame] = [MessageCompleted(response.text)] if response.text else []
        said += [
            ToolExecuting(call.tool, call.tool_call_id) for call in self.calls if call.state is not CallState.asked
        ]
        lost = [call for call in self.calls if call.state is CallState.refused]
        said += [ToolCompleted(call.tool, call.tool_call_id, is_error=True) for call in lost]
        async with self._scribe.batch(*said) as batch, transaction(self._lease.tenancy) as session:
            await leases.checkpoint(session, self._lease, transcript, batch, calls)
            await tool_calls.add(session, self.calls)
            for call in self.calls:
                if call.state is CallState.begun:
                    executing = event_types.ToolExecuting(call.run_id, call.tool, call.tool_call_id)
                    await events.tell(session, self._platform, executing, smith_id=call.smith_id)

    async def go_on(self) -> None:
        """Take up a step that was left: see what came of its calls and what people have said. Raises `LeaseLost`."""
        run = self._toolbox.run
        async with transaction(self._lease.tenancy) as session:
            self.calls = await tool_calls.of_run(session, run.project_id, run.id, self._number)
            asked = await approvals.of_run(session, run.project_id, run.id)
        self._approvals = asked
        for call in self.calls:
            if call.state is CallState.begun and call.kind is not ToolKind.client:
                await self._recover(call)
            elif call.state is CallState.asked:
                await self._heed(call)

    async def make(self) -> None:
        """Make the calls that need nobody, side by side. Raises `LeaseLost`."""
        due = [call for call in self.calls if call.state is CallState.begun and call.kind is not ToolKind.client]
        making = [asyncio.ensure_future(self._use(call)) for call in due]
        try:
            await asyncio.gather(*making)
        finally:
            for task in making:
                task.cancel()
            await asyncio.gather(*making, return_exceptions=True)

    @property
    def open(self) -> list[ToolCall]:
        return [call for call in self.calls if call.open]

    def returns(self) -> list[ModelRequestPart]:
        """Return what the model is told of its calls, of those whose outcome is known."""
        return [_return(call) for call in self.calls if not call.open]

    def pause(self) -> Pause:
        """Return what the run waits for, now that all other calls are made."""
        handed_out = [call for call in self.open if call.kind is ToolKind.client and self._may_be_made(call)]
        gated = [call for call in self.open if not self._may_be_made(call)]
        new = [call for call in gated if self._decision(call) is None]
        asked = [approvals.of_call(call, self._toolbox.run.agent_id) for call in new]
        self._approvals += asked
        reason = "approval" if gated else "tool"
        return Pause(
            RunStatus.paused_for_approval if gated else RunStatus.paused_for_tool,
            reason,
            {"output": {"tool_calls": [tool_calls.shown(call) for call in handed_out]} if handed_out else None},
            asked,
            [call for call in handed_out if call.state is CallState.asked],
        )

    def why(self, pause: Pause) -> list[AnyFrame]:
        """Return the frames that say why the run pauses."""
        required = [ToolRequired(call.tool, call.tool_call_id, call.args) for call in pause.handed_out]
        asked = [ApprovalRequired(one.id, one.tool, one.tool_call_id, one.args, one.elicitation) for one in pause.asked]
        return [*asked, *required, RunPaused(pause.reason)]

    async def _recover(self, call: ToolCall) -> None:
        """Decide about a call whose maker was lost: again, if that can do no harm; else nobody knows."""
        tool = self._toolbox.tools.get(call.tool)
        if tool is None or not tool.repeatable:
            self._warn(
                "tool_outcome_unknown", f"What came of the call of {call.tool} ({call.tool_call_id}) is unknown."
            )
            await self._close(refused(call, UNKNOWN))

    async def _heed(self, call: ToolCall) -> None:
        """Do what has been decided about a call."""
        approval = self._decision(call)
        if approval is None or approval.status is ApprovalStatus.pending:
            return
        if approval.status is ApprovalStatus.rejected:
            because = f" The reason given: {approval.reason}" if approval.reason else ""
            await self._close(refused(call, f"The call was rejected by a person, and not made.{because}"))
        elif approval.status is ApprovalStatus.expired:
            await self._close(refused(call, "Nobody decided about the call in time. It was not made, nor refused."))
        elif not (call.untouched and call.args_digest == approval.args_digest):
            self._warn("approval_mismatch", f"{call.tool} ({call.tool_call_id}) was not called: its arguments changed.")
            await self._close(refused(call, SWAPPED))
        elif call.kind is not ToolKind.client:
            frame = ToolExecuting(call.tool, call.tool_call_id)
            executing = event_types.ToolExecuting(call.run_id, call.tool, call.tool_call_id)
            async with self._scribe.batch(frame) as batch, transaction(self._lease.tenancy) as session:
                await leases.say(session, self._lease, batch)
                await tool_calls.begin(session, call.project_id, [call])
                await events.tell(session, self._platform, executing, smith_id=call.smith_id)

    async def _use(self, call: ToolCall) -> None:
        use = Use(self._toolbox.run, call.id, self._answers(call))
        tool = self._toolbox.tools.get(call.tool)
        call.is_error = True
        try:
            if tool is None or tool.deed is None:
                raise ToolRefused(f"{call.tool} is no longer there.")
            async with asyncio.timeout(tool.seconds):
                call.result, call.is_error = tool_calls.bounded(await tool.deed(use, call.args)), False
        except ToolAsks as asks:
            await self._ask(call, asks.question)
            return
        except ToolRefused as refusal:
            call.result = tool_calls.bounded(str(refusal))
            if isinstance(refusal, ToolUnavailable):
                self._warn(refusal.code, str(refusal))
        except TimeoutError:
            call.result = f"{call.tool} did not answer in time."
        except Exception:
            log.exception("the tool %s failed in run %s", call.tool, call.run_id)
            call.result = f"{call.tool} failed."
        call.state = CallState.done
        await self._close(call)

    async def _ask(self, call: ToolCall, question: dict[str, Any]) -> None:
        """Have a call wait for what its tool wants to know; the smith's person may say it, unless a rule says who."""
        call.gate = {"approver": "smith", **(call.gate or {}), "elicitation": question}
        call.is_error = False
        async with transaction(self._lease.tenancy) as session:
            await leases.renew(session, self._lease)
            await tool_calls.ask(session, call)

    async def _close(self, call: ToolCall) -> None:
        """Keep what has come of a call, together with the frame that says so. Raises `LeaseLost`."""
        completed = ToolCompleted(call.tool, call.tool_call_id, call.is_error)
        event = event_types.ToolCompleted(call.run_id, call.tool, call.tool_call_id, call.is_error)
        async with self._scribe.batch(completed) as batch, transaction(self._lease.tenancy) as session:
            await leases.say(session, self._lease, batch)
            await tool_calls.finish(session, call)
            await events.tell(session, self._platform, event, smith_id=call.smith_id)

    def _decision(self, call: ToolCall) -> Approval | None:
        """Return the approval that a call waits or has waited for, as its gate stands now."""
        question = (call.gate or {}).get("elicitation")
        mine = [one for one in self._approvals if one.tool_call_id == call.tool_call_id and one.elicitation == question]
        return mine[-1] if mine else None

    def _answers(self, call: ToolCall) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
        """Return what people have answered to the questions of a call's tool."""
        given = [one for one in self._approvals if one.tool_call_id == call.tool_call_id]
        approved = [one for one in given if one.status is ApprovalStatus.approved]
        return [(one.elicitation, one.content) for one in approved if one.elicitation is not None]

    def _may_be_made(self, call: ToolCall) -> bool:
        approval = self._decision(call)
        return call.gate is None or (approval is not None and approval.status is ApprovalStatus.approved)

    @property
    def _platform(self) -> access.Caller:
        return access.platform(self._lease.project_id)


def _return(call: ToolCall) -> ToolReturnPart:
    outcome: Literal["failed", "success"] = "failed" if call.is_error else "success"
    told = tool_calls.told(call)
    return ToolReturnPart(tool_name=call.tool, content=told, tool_call_id=call.tool_call_id, outcome=outcome)


def make_distinct(response: ModelResponse, before: Sequence[ModelMessage]) -> None:
    """Rename the calls of a response whose ids the run has seen already: an answer must find its call by its id."""
    seen = {call.tool_call_id for each in before if isinstance(each, ModelResponse) for call in each.tool_calls}
    for call in response.tool_calls:
        if not call.tool_call_id or call.tool_call_id in seen:
            call.tool_call_id = new_id("call")
        seen.add(call.tool_call_id)
