"""Asking: the model calls of one run, their words handed on as they come.

A call that breaks off in the middle of its answer is made again once, as after a crash: watchers are told
(`message.restarted`) when its words turn out differently. If it breaks off again, the run fails.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.usage import RequestUsage

from ingram_app.core.clock import now
from ingram_app.core.errors import IngramError
from ingram_app.domain import prompts
from ingram_app.domain.frames import ReasoningDelta
from ingram_app.domain.model_keys import Access
from ingram_app.domain.projects import Limits
from ingram_app.domain.runs import Run
from ingram_app.engine import attaching, prompt
from ingram_app.engine.candidates import Candidates, Warn
from ingram_app.engine.meter import Meter
from ingram_app.engine.retelling import Retelling
from ingram_app.engine.scribe import Scribe
from ingram_app.engine.toolbox import Toolbox
from ingram_app.gateways import prices, providers
from ingram_app.gateways.providers import Answer, ModelRequestFailed, ModelStreamBroken, TextDelta


class OutputLimitExceeded(IngramError):
    """The run wrote {tokens} tokens; {most} are allowed. The setting max_output_tokens allows more."""


class TokenLimitExceeded(IngramError):
    """The run used {tokens} tokens and is not done; {most} are allowed. The setting max_total_tokens allows more."""


class CostLimitExceeded(IngramError):
    """The run cost {dollars} dollars and is not done; {most} are allowed. The setting max_cost_micros allows more."""


class Asking:
    """Has a model answer, call after call. No transaction is open meanwhile."""

    def __init__(
        self, run: Run, limits: Limits, scribe: Scribe, meter: Meter, access: Access | None, warn: Warn
    ) -> None:
        self._run = run
        self._limits = limits
        self._scribe = scribe
        self._meter = meter
        self._candidates = Candidates(run, access, limits.max_seconds or 0, warn)
        self._warn = warn
        self._retelling: Retelling | None = None
        self._lost = ""
        self._failed: list[dict[str, str]] = []
        self._began_at: datetime | None = None
        """When the call began that is on its way."""
        self.context: dict[str, Any] = {}
        """What else is written down beside each answer, for the run's trace."""
        self.toolbox: Toolbox
        """What the model may call; the loop assembles it."""

    @property
    def words(self) -> str:
        """What watchers have heard of an answer that is on its way."""
        return self._retelling.heard if self._retelling else ""

    @property
    def models(self) -> list[str]:
        """The models that may answer, the one that is asked now first."""
        return self._candidates.models

    async def prefer(self, model: str) -> None:
        """Ask this model first from now on. Raises `ModelKeyMissing`, `UnknownProvider`."""
        await self._candidates.prefer(model)

    async def ask(self, messages: Sequence[ModelMessage], said: str) -> ModelResponse:
        """Return a model's answer to `messages`; watchers have heard `said` of it already.

        Raises `TokenLimitExceeded`, `CostLimitExceeded`, `OutputLimitExceeded`, `ModelRequestFailed`,
        `ModelKeyMissing`.
        """
        self._check_used()
        self._lost, self._failed = said, []
        self._retelling = retelling = Retelling(said)
        response = await self._unless_it_breaks(messages, retelling)
        if response is None:
            self._retelling = retelling = Retelling(retelling.heard, differs=retelling.differs)
            response = await self._candidates.answer(partial(self._try, messages, retelling))
        if self._failed:
            response.metadata = (response.metadata or {}) | {"failed": self._failed}
        self._scribe.say(*retelling.end())
        self._retelling = None
        if retelling.differs:
            self._warn("model_call_repeated", "A model call was interrupted and made again; its words changed.")
        return response

    async def aside(self, said: str, instructions: str, *, max_tokens: int) -> ModelResponse:
        """Return a model's answer to something that is not part of the conversation; no watcher hears it.

        Raises `ModelRequestFailed`, `ModelKeyMissing`.
        """
        messages = [ModelRequest(parts=[UserPromptPart(said)])]

        async def listen(model: str, access: Access) -> ModelResponse:
            settings = {"max_tokens": max_tokens}
            async with providers.stream(
                model, access.credential, messages, instructions=instructions, settings=settings
            ) as answer:
                with self._metered(answer, model, access, messages, instructions):
                    async for _ in answer:
                        pass
            return answer.response

        return await self._candidates.answer(listen)

    async def _unless_it_breaks(self, messages: Sequence[ModelMessage], retelling: Retelling) -> ModelResponse | None:
        """Return the answer; nothing, if it breaks off. Raises the other kinds of `ModelRequestFailed`."""
        try:
            return await self._candidates.answer(partial(self._try, messages, retelling))
        except ModelStreamBroken as broken:
            if not broken.begun:
                raise
            return None

    async def _try(
        self, messages: Sequence[ModelMessage], retelling: Retelling, model: str, access: Access
    ) -> ModelResponse:
        """Hand on what one model answers; a failure is noted, for the run's trace."""
        began_at = now()
        try:
            return await self._hear(messages, retelling, model, access)
        except ModelRequestFailed as failure:
            when = {"began_at": began_at.isoformat(), "ended_at": now().isoformat()}
            self._failed.append({"model": model, "code": failure.code, "message": failure.sentence, **when})
            raise

    async def _hear(
        self, messages: Sequence[ModelMessage], retelling: Retelling, model: str, access: Access
    ) -> ModelResponse:
        """Hand on what one model answers. Raises `OutputLimitExceeded`, `ModelRequestFailed`."""
        began_at, first_at = now(), None
        self._began_at = began_at
        instructions = self.toolbox.instructions(prompts.instructions(self._run))
        suited, changed = attaching.suited(messages, access.provider)
        if changed:
            self._warn("attachment_not_sent", f"{model} was told of a picture or file that it can not be sent.")
        if self._lost:  # a process died while it was being said: it was paid for
            lost = ModelResponse(parts=[TextPart(self._lost)])
            self._meter.take(lost, model, access, suited, instructions, whole=False)
            self._lost = ""
        async with providers.stream(
            model,
            access.credential,
            suited,
            instructions=instructions,
            settings=prompt.settings(self._run, self._limits.max_output_tokens),
            tools=self.toolbox.definitions,
            begins_within_seconds=self._limits.max_seconds_to_first_token,
        ) as answer:
            with self._metered(answer, model, access, suited, instructions) as told:
                async for delta in answer:
                    first_at = first_at or now()
                    self.check_output(answer.pieces)
                    if isinstance(delta, TextDelta):
                        self._scribe.say(*retelling.hear(delta.text))
                    else:
                        self._scribe.say(ReasoningDelta(delta.text))
        response = answer.response
        response.metadata = _told(began_at, first_at) | told | self.context
        self._began_at = None
        return response

    def broken_off(self, words: str) -> ModelResponse:
        """Return an answer that nobody waits for any more, as far as it was heard, with what it took."""
        response = ModelResponse(parts=[TextPart(words)], state="interrupted")
        if self._began_at is not None and self._meter.calls:
            call = self._meter.calls[-1]
            response.usage = RequestUsage(input_tokens=call.input_tokens, output_tokens=call.output_tokens)
            took = {"model": call.model, "cost_micros": call.cost_micros}
            response.metadata = _told(self._began_at, None) | took | self.context
        return response

    @contextmanager
    def _metered(
        self, answer: Answer, model: str, access: Access, asked: Sequence[ModelMessage], instructions: str | None
    ) -> Iterator[dict[str, Any]]:
        """Price the answer that comes within, or what has come of it; tell its cost, for the run's trace."""
        told: dict[str, Any] = {}
        try:
            yield told
        except BaseException:
            if answer.response.parts or answer.response.usage.has_values():
                self._meter.take(answer.response, model, access, asked, instructions, whole=False)
            raise
        call = self._meter.take(answer.response, model, access, asked, instructions)
        told["cost_micros"] = call.cost_micros

    def check_output(self, written: int) -> None:
        """Raises `OutputLimitExceeded` when the run has written more tokens than it may."""
        most = self._limits.max_output_tokens
        if most is not None and written > most:
            raise OutputLimitExceeded(tokens=written, most=most)

    def _check_used(self) -> None:
        used = self._meter.used
        tokens, most = used.get("input_tokens", 0) + used.get("output_tokens", 0), self._limits.max_total_tokens
        if most is not None and tokens > most:
            raise TokenLimitExceeded(tokens=tokens, most=most)
        micros, dearest = used.get("cost_micros", 0), self._limits.max_cost_micros
        if dearest is not None and micros > dearest:
            raise CostLimitExceeded(dollars=prices.dollars(micros), most=prices.dollars(dearest))


def _told(began_at: datetime, first_at: datetime | None) -> dict[str, Any]:
    """Return what is written down beside an answer, for the run's trace."""
    told: dict[str, Any] = {"began_at": began_at.isoformat(), "ended_at": now().isoformat()}
    if first_at is not None:
        told["first_ms"] = round((first_at - began_at).total_seconds() * 1000)
    return told
