"""The loop of one run: ask the model, do what it asks for, ask again, until it has answered.

The model's answer is kept together with the tool calls it asks for, and each call's result as it comes. Whoever takes
the run up again goes on with the calls that are open, or asks the model again. No transaction is open while a model is
being asked or a tool is at work.
"""

from dataclasses import replace
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse

from ingram_app.core.errors import IngramError
from ingram_app.core.readings import made
from ingram_app.domain import model_calls, prompts, transcripts
from ingram_app.domain.endings import Ending
from ingram_app.domain.frames import AnyFrame, MessageCompleted, RunCompleted
from ingram_app.domain.leases import Lease, Pause
from ingram_app.domain.runs import Run, RunStatus
from ingram_app.domain.transcripts import Transcript
from ingram_app.engine import prompt, remembering, reminding, servers, wording
from ingram_app.engine.asking import Asking
from ingram_app.engine.attaching import Attaching
from ingram_app.engine.candidates import answered_by
from ingram_app.engine.history import History
from ingram_app.engine.meter import Meter
from ingram_app.engine.purse import Purse
from ingram_app.engine.scribe import Scribe
from ingram_app.engine.standing import Standing
from ingram_app.engine.step import Step, make_distinct
from ingram_app.engine.toolbox import assemble
from ingram_app.engine.tools import replies
from ingram_app.gateways import windows


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
        self.meter = Meter(standing.prices, standing.used, self._warn)
        self.asking = Asking(run, self.limits, scribe, self.meter, standing.access, self._warn)
        self.purse = Purse(run, lease, standing, self.asking, self._warn)
        self.history = History(run, lease, self.limits, self.asking, self.meter, self._warn)
        self.attaching = Attaching(run, lease)
        self.last_words: list[AnyFrame] = []
        """The frames with which the run ends or pauses: they are written together with its row."""
        self._past: list[ModelMessage] | None = None
        self._notes: list[ModelMessage] = []
        """What of the smith's memory is told just before the turn's own words."""
        self._step: Step | None = None
        """The step whose tool calls are being made."""

    async def answer(self) -> Ending | Pause:
        """Return how the run completed, or what it waits for.

        Raises what stands in its way: `ModelRequestFailed`, a limit, `LeaseLost`.
        """
        self.asking.toolbox = await assemble(self.run)
        for warning in self.asking.toolbox.warnings:
            self._warn(*warning)
        if self.asking.toolbox.unconnected and not self._steps:
            required, missing = await servers.require(self.run, self.asking.toolbox.unconnected)
            self.scribe.say(*required)
            for warning in missing:
                self._warn(*warning)
        left = self._left()
        while True:
            response = left or await self._ask()
            if not response.tool_calls:
                return self._completed(response)
            self._step = step = Step(self.lease, self.scribe, self.asking.toolbox, self._steps, self._warn)
            await (step.go_on() if left else self._begin(step, response))
            await step.make()
            if step.open:
                return self._paused(step)
            self._take_returns()
            left = None

    async def _ask(self) -> ModelResponse:
        """Have the model answer. Raises `StepLimitExceeded` when it has been asked often enough, `BudgetExceeded`."""
        if self._steps >= (self.limits.max_steps or 0):
            raise StepLimitExceeded(steps=self.limits.max_steps)
        if self._past is None and self.standing.remembers:
            self._notes = await reminding.notes(self.run, self.lease, self.limits, self._warn)
        if self.purse.budgeted:
            await self.purse.open(self._tokens())
        if self._past is None:
            self._past = await self.history.of(self.standing.past, [*self._notes, *self.added])
        tools = {"tools": True} if self.asking.toolbox.tools else {}
        self.asking.context = {"since_turn": self.history.since_turn, **tools, **self.purse.told}
        messages = await self.attaching.shown([*self._past, *self._notes, *self.added])
        response = await self.asking.ask(messages, self.said)
        self.said = ""
        make_distinct(response, self.added)
        self.added.append(response)
        self.asking.check_output(self.meter.used.get("output_tokens", 0))
        return response

    async def _begin(self, step: Step, response: ModelResponse) -> None:
        """Keep the answer, what it took and the calls that it asks for, in one. Raises `LeaseLost`."""
        self.purse.budgeted = await step.begin(response, self.transcript(complete=False), self.meter.calls)

    def _tokens(self) -> int:
        """Return about how many tokens the model is going to be asked, the tools' definitions apart."""
        told = (prompts.instructions(self.run) or "", self.standing.past.text)
        return sum(map(windows.tokens_of, told)) + wording.tokens_of([*self._notes, *self.added])

    def _left(self) -> ModelResponse | None:
        """Return the answer whose tool calls the run was left with, without what was known of them then."""
        *_, before, last = [None, *self.added]
        if isinstance(before, ModelResponse) and len(last.parts) < len(before.tool_calls):
            self.added.pop()
            last = before
        return last if isinstance(last, ModelResponse) and last.tool_calls else None

    @property
    def _steps(self) -> int:
        """How often the model has been asked, pauses and lost carriers included."""
        given = [message for message in self.run.input if message["role"] == "assistant"]
        return sum(isinstance(message, ModelResponse) for message in self.added) - len(given)

    def _paused(self, step: Step) -> Pause:
        pause = step.pause()
        self.last_words = step.why(pause)
        self._take_returns()
        values = pause.values | {"warnings": self.warnings, **self.usage()}
        return replace(pause, values=values, transcript=self.transcript(complete=False))

    def _take_returns(self) -> None:
        """Add what has come of the step's calls, as far as it is known."""
        if self._step is not None and (returns := self._step.returns()):
            self.added.append(ModelRequest(parts=returns))
        self._step = None

    def broken_off(self) -> Transcript:
        """Return what the run has added when it is stopped: the words of an answer on its way too, its calls not."""
        self._take_returns()
        words = self.asking.words or self.said
        if words:
            self.added.append(self.asking.broken_off(words))
        transcript = self.transcript(complete=False)
        transcript.messages = transcripts.broken_off(transcript.messages)
        return transcript

    def transcript(self, *, complete: bool) -> Transcript:
        """Return what the run has added, to be kept."""
        run = self.run
        return made(
            Transcript,
            run_id=run.id,
            project_id=run.project_id,
            smith_id=run.smith_id,
            thread_id=run.thread_id,
            turn=run.turn,
            messages=prompt.write(self.added),
            complete=complete,
        )

    def usage(self) -> dict[str, Any]:
        """Return columns of the run's row: what it has used, and which model answered last."""
        if not self.meter.used:
            return {}
        responses = [message for message in self.added if isinstance(message, ModelResponse)]
        told = any(response.usage.has_values() for response in responses)
        return {"answered_by": answered_by(responses[-1], self.run) if told else None, **self.meter.used}

    def _completed(self, response: ModelResponse) -> Ending:
        used = self.usage()
        stop_reason = response.finish_reason or "stop"
        shown = model_calls.shown(
            used.get("input_tokens") or 0, used.get("output_tokens") or 0, used.get("cost_micros")
        )
        text = response.text or ""
        self.last_words = [MessageCompleted(text), RunCompleted(stop_reason, shown, self.warnings)]
        output: dict[str, Any] = {"content": text, "content_type": "text"}
        if self.asking.toolbox.is_hosted(replies.NAME) and (suggested := replies.suggested(self.added)):
            output["suggested_replies"] = suggested
        return Ending(
            RunStatus.completed,
            {"output": output, "stop_reason": stop_reason, "warnings": self.warnings, **used},
            self.transcript(complete=True),
            later=remembering.after(self.run),
        )

    def _warn(self, code: str, message: str) -> None:
        warning = {"code": code, "message": message}
        if warning not in self.warnings:
            self.warnings.append(warning)
