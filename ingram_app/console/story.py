"""The story of a run: its frames put together, the many deltas of a message as the one that it is."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ingram_app.console.deciding import spelt
from ingram_app.console.figures import author, count
from ingram_app.domain.approvals import Approval, ApprovalStatus
from ingram_app.domain.frames import (
    ApprovalRequired,
    MessageCompleted,
    MessageDelta,
    MessageRestarted,
    ReasoningDelta,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPaused,
    Shown,
    ToolCompleted,
    ToolExecuting,
    ToolRequired,
)
from ingram_app.domain.tool_calls import CallState, ToolCall

MOST = 100
"""Steps that a page holds."""
_DELTAS = {MessageDelta.name: "message", ReasoningDelta.name: "reasoning"}


@dataclass
class Step:
    """One thing that happened."""

    seq: int
    """Its first frame."""
    frames: int
    after: str
    """How long after the run's first frame."""
    at: str
    event: str
    """A frame's name, or `message` and `reasoning` for what came in pieces."""
    text: str
    void: bool = False
    """It no longer holds: it was said anew."""
    call: str = ""
    """The tool call that it is about."""
    args: str = ""
    result: str = ""
    outcome: str = ""
    """What came of that call and who decided it; empty while that is open."""


@dataclass
class Story:
    steps: list[Step] = field(default_factory=list)
    """What is over and done."""
    open: Step | None = None
    """What is being said."""
    began: datetime | None = None

    @property
    def said(self) -> str:
        """The words of the run's messages so far."""
        told = [*self.steps, self.open] if self.open else self.steps
        return "\n\n".join(step.text for step in told if step.event == "message" and not step.void)

    def hear(self, frames: Iterable[Shown]) -> None:
        """Take in what the run says next."""
        for frame in frames:
            data = json.loads(frame.data)
            if frame.event in _DELTAS:
                self._go_on(frame, _DELTAS[frame.event], data["delta"])
            elif frame.event == MessageCompleted.name:
                self._go_on(frame, "message", "")
                self._close(data["content"])
            else:
                self._close(void=frame.event == MessageRestarted.name)
                step = self._step(frame, 1, frame.event, _told(frame.event, data))
                step.call = data.get("tool_call_id", "")
                self.steps.append(step)

    def fill(self, calls: Iterable[ToolCall], asked: Iterable[Approval] = ()) -> None:
        """Put what came of tool calls beside the steps that tell of their end, or hand them to the caller's program."""
        known = {call.tool_call_id: call for call in calls if not call.open}
        decided = {approval.tool_call_id: approval for approval in asked}
        for step in self.steps:
            if step.event in (ToolCompleted.name, ToolRequired.name) and (call := known.get(step.call)):
                step.args, step.result = spelt(call.args), spelt(call.result)
                step.outcome = _outcome(call, decided.get(call.tool_call_id))
                step.text = step.outcome if step.event == ToolCompleted.name else step.text

    def _go_on(self, frame: Shown, event: str, words: str) -> None:
        if self.open is not None and self.open.event != event:
            self._close()
        if self.open is None:
            self.open = self._step(frame, 0, event, "")
        self.open.text += words
        self.open.frames += 1

    def _step(self, frame: Shown, frames: int, event: str, text: str) -> Step:
        self.began = self.began or frame.at
        after = max((frame.at - self.began).total_seconds(), 0)
        return Step(frame.seq, frames, f"{after:.2f} s", frame.at.isoformat(), event, text)

    def _close(self, text: str | None = None, *, void: bool = False) -> None:
        if self.open is not None:
            self.open.text = self.open.text if text is None else text
            self.open.void = void
            self.steps.append(self.open)
            self.open = None


def _outcome(call: ToolCall, decided: Approval | None) -> str:
    by = f" by {author(decided.actor)}" if decided and decided.actor else ""
    if call.state is not CallState.refused:
        return f"{call.tool} {'failed' if call.is_error else 'answered'}{f', approved{by}' if by else ''}"
    if decided and decided.status is ApprovalStatus.rejected:
        return f"{call.tool} was rejected{by}"
    if decided and decided.status is ApprovalStatus.expired:
        return f"{call.tool} was not made: nobody decided in time"
    return f"{call.tool} brought no result"


def _told(event: str, data: dict[str, Any]) -> str:
    """Return what a frame says, in words; empty when its name says it all."""
    if event in (ToolExecuting.name, ApprovalRequired.name, ToolRequired.name):
        return str(data["tool"])
    if event == RunPaused.name:
        return "waits for a person" if data["reason"] == "approval" else "waits for your program"
    if event == ToolCompleted.name:
        return f"{data['tool']} {'failed' if data['is_error'] else 'answered'}"
    if event in (MessageRestarted.name, RunCancelled.name):
        return data["reason"] or ""
    if event == RunFailed.name:
        return str(data["error"]["message"])
    if event == RunCompleted.name:
        return f"{data['stop_reason']}, {count(data['usage']['total_tokens'])} tokens"
    return ""
