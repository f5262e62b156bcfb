"""The loop of one run: ask the model, do what it asks for, ask again, until it has answered.

Before each model call the messages so far are kept; whoever takes the run up again begins with that call.
No transaction is open while a model is being asked.
"""

import logging
from typing import Any

from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.usage import RequestUsage

from ingram_app.core.database import transaction
from ingram_app.core.errors import IngramError
from ingram_app.domain import leases, runs, transcripts
from ingram_app.domain.frames import (
    AnyFrame,
    MessageCompleted,
    RunCompleted,
    ToolCompleted,
    ToolExecuting,
)
from ingram_app.domain.leases import Ending, Lease
from ingram_app.domain.runs import Run, RunStatus
from ingram_app.domain.transcripts import Transcript
from ingram_app.engine import prompt
from ingram_app.engine.asking import Asking
from ingram_app.engine.candidates import answered_by
from ingram_app.engine.history import History, Spent
from ingram_app.engine.scribe import Scribe
from ingram_app.engine.standing import Standing
from ingram_app.gateways import prices

log = logging.getLogger(__name__)


class StepLimitExceeded(IngramError):
    """The run made {steps} model calls without coming to an answer. The setting max_steps allows more."""


class Loop:
    """One run on its way."""

    def __init__(self, run: Run, lease: Lease, scribe: Scribe, standing: Standing) -> None:
        self.run = run
        self.lease = lease
        self.scribe = scribe
        self.standing = standing
        self.limits = standing.limits
        self.added = standing.added
        self.said = standing.said
        """The words of the message that it was in the middle of when it was taken up."""
        self.warnings: list[dict[str, str]] = list(run.warnings)
        self.asking = Asking(run, self.limits, scribe, standing.access, self._warn)
        self.history = History(run, lease, self.limits, self.asking, self._warn)
        self.history.spent = Spent(*standing.summarised) if standing.summarised else None
        self.last_words: list[AnyFrame] = []
        """The frames with which the run ends: they are written together with its row."""

    async def answer(self) -> Ending:
        """Return how the run completed. Raises what stands in its way: `ModelRequestFailed`, a limit, `LeaseLost`."""
        history = await self.history.of(self.standing.past, self.added)
        for _ in range(self.limits.max_steps or 0):
            response = await self.asking.ask([*history, *self.added], self.said, self.usage())
            self.said = ""
            self.added.append(response)
            self.asking.check_output(self.usage().get("output_tokens") or 0)
            if not response.tool_calls:
                return self._completed(response)
            if response.text:
                self.scribe.say(MessageCompleted(response.text))
            self.added.append(ModelRequest(parts=[self._use(call) for call in response.tool_calls]))
            await self._checkpoint()
        raise StepLimitExceeded(steps=self.limits.max_steps)

    def _use(self, call: ToolCallPart) -> ToolReturnPart:
        """Return the tool's result. No tools are registered yet: the model is told so, and goes on."""
        self.scribe.say(ToolExecuting(call.tool_name, call.tool_call_id))
        self.scribe.say(ToolCompleted(call.tool_name, call.tool_call_id, is_error=True))
        told = f"There is no tool {call.tool_name}."
        return ToolReturnPart(tool_name=call.tool_name, content=told, tool_call_id=call.tool_call_id, outcome="failed")

    async def _checkpoint(self) -> None:
        """Keep the step that is done together with its frames: repeated after a crash, it would be told twice."""
        async with self.scribe.batch() as batch, transaction(self.lease.tenancy) as session:
            await leases.checkpoint(session, self.lease, self.transcript(complete=False), batch)

    def broken_off(self) -> Transcript:
        """Return what the run has added when it is stopped: the words of an answer on its way too, its calls not."""
        words = self.asking.words or self.said
        if words:
            self.added.append(ModelResponse(parts=[TextPart(words)], state="interrupted"))
        transcript = self.transcript(complete=False)
        transcript.messages = transcripts.broken_off(transcript.messages)
        return transcript

    def transcript(self, *, complete: bool) -> Transcript:
        """Return what the run has added, to be kept."""
        run = self.run
        return Transcript(
            run_id=run.id,
            project_id=run.project_id,
            smith_id=run.smith_id,
            thread_id=run.thread_id,
            turn=run.turn,
            messages=prompt.write(self.added),
            complete=complete,
        )

    def usage(self) -> dict[str, Any]:
        """Return columns of the run's row: what it has used, and which model answered last.

        An unknown price counts as 0, with a warning.
        """
        responses = [message for message in self.added if isinstance(message, ModelResponse)]
        told = any(response.usage.has_values() for response in responses)
        if not told and self.history.spent is None:
            return {}
        costs = [self._cost(answered_by(response, self.run), response.usage) for response in responses]
        aside = self.history.spent or Spent()
        return {
            "answered_by": answered_by(responses[-1], self.run) if told else None,
            "input_tokens": sum(response.usage.input_tokens for response in responses) + aside.input_tokens,
            "output_tokens": sum(response.usage.output_tokens for response in responses) + aside.output_tokens,
            "cost_micros": sum(costs) + aside.cost_micros,
        }

    def _cost(self, model: str, used: RequestUsage) -> int:
        cost = prices.cost_micros(model, used)
        if cost is None:
            self._warn("price_unknown", f"The price of {model} is not known; its cost is counted as 0.")
        return cost or 0

    def _completed(self, response: ModelResponse) -> Ending:
        used = self.usage()
        stop_reason = response.finish_reason or "stop"
        shown = runs.usage(used.get("input_tokens") or 0, used.get("output_tokens") or 0, used.get("cost_micros"))
        text = response.text or ""
        self.last_words = [MessageCompleted(text), RunCompleted(stop_reason, shown, self.warnings)]
        output = {"content": text, "content_type": "text"}
        return Ending(
            RunStatus.completed,
            {"output": output, "stop_reason": stop_reason, "warnings": self.warnings, **used},
            self.transcript(complete=True),
        )

    def _warn(self, code: str, message: str) -> None:
        warning = {"code": code, "message": message}
        if warning not in self.warnings:
            self.warnings.append(warning)
