"""Asking: the model calls of one run, their words handed on as they come.

A call that breaks off in the middle of its answer is made again once, as after a crash: watchers are told
(`message.restarted`) when its words turn out differently. If it breaks off again, the run fails.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelResponse

from ingram_app.core.clock import now
from ingram_app.core.errors import IngramError
from ingram_app.domain.frames import ReasoningDelta
from ingram_app.domain.model_keys import Access
from ingram_app.domain.projects import Limits
from ingram_app.domain.runs import Run
from ingram_app.engine import aside, attaching, prompt
from ingram_app.engine.candidates import Candidates, Warn
from ingram_app.engine.retelling import Retelling
from ingram_app.engine.scribe import Scribe
from ingram_app.engine.toolbox import Toolbox
from ingram_app.gateways import providers
from ingram_app.gateways.providers import ModelStreamBroken, TextDelta


class OutputLimitExceeded(IngramError):
    """The run wrote {tokens} tokens; {most} are allowed. The setting max_output_tokens allows more."""


class TokenLimitExceeded(IngramError):
    """The run used {tokens} tokens and is not done; {most} are allowed. The setting max_total_tokens allows more."""


class CostLimitExceeded(IngramError):
    """The run cost {dollars} dollars and is not done; {most} are allowed. The setting max_cost_micros allows more."""


class Asking:
    """Has a model answer, call after call. No transaction is open meanwhile."""

    def __init__(self, run: Run, limits: Limits, scribe: Scribe, access: Access | None, warn: Warn) -> None:
        self._run = run
        self._limits = limits
        self._scribe = scribe
        self._candidates = Candidates(run, access, limits.max_seconds or 0, warn)
        self._warn = warn
        self._retelling: Retelling | None = None
        self.context: dict[str, int] = {}
        """What else is written down beside each answer, for the run's trace."""
        self.toolbox: Toolbox
        """What the model may call; the loop assembles it."""

    @property
    def words(self) -> str:
        """What watchers have heard of an answer that is on its way."""
        return self._retelling.heard if self._retelling else ""

    async def ask(self, messages: Sequence[ModelMessage], said: str, used: Mapping[str, Any]) -> ModelResponse:
        """Return a model's answer to `messages`; watchers have heard `said` of it already, and the run has `used` that.

        Raises `TokenLimitExceeded`, `CostLimitExceeded`, `OutputLimitExceeded`, `ModelRequestFailed`,
        `ModelKeyMissing`.
        """
        self._check_used(used)
        self._retelling = retelling = Retelling(said)
        response = await self._unless_it_breaks(messages, retelling)
        if response is None:
            self._retelling = retelling = Retelling(retelling.heard, differs=retelling.differs)
            response = await self._candidates.answer(partial(self._hear, messages, retelling))
        self._scribe.say(*retelling.end())
        self._retelling = None
        if retelling.differs:
            self._warn("model_call_repeated", "A model call was interrupted and made again; its words changed.")
        return response

    async def aside(self, said: str, instructions: str, *, max_tokens: int) -> ModelResponse:
        """Return a model's answer to something that is not part of the conversation; no watcher hears it.

        Raises `ModelRequestFailed`, `ModelKeyMissing`.
        """
        return await aside.ask(self._candidates, said, instructions, max_tokens=max_tokens)

    async def _unless_it_breaks(self, messages: Sequence[ModelMessage], retelling: Retelling) -> ModelResponse | None:
        """Return the answer; nothing, if it breaks off. Raises the other kinds of `ModelRequestFailed`."""
        try:
            return await self._candidates.answer(partial(self._hear, messages, retelling))
        except ModelStreamBroken as broken:
            if not broken.begun:
                raise
            return None

    async def _hear(
        self, messages: Sequence[ModelMessage], retelling: Retelling, model: str, access: Access
    ) -> ModelResponse:
        """Hand on what one model answers. Raises `OutputLimitExceeded`, `ModelRequestFailed`."""
        began_at, first_at = now(), None
        suited, changed = attaching.suited(messages, access.provider)
        if changed:
            self._warn("attachment_not_sent", f"{model} was told of a picture or file that it can not be sent.")
        async with providers.stream(
            model,
            access.credential,
            suited,
            instructions=self.toolbox.instructions(prompt.instructions(self._run)),
            settings=prompt.settings(self._run, self._limits.max_output_tokens),
            tools=self.toolbox.definitions,
            begins_within_seconds=self._limits.max_seconds_to_first_token,
        ) as answer:
            async for delta in answer:
                first_at = first_at or now()
                self.check_output(answer.pieces)
                if isinstance(delta, TextDelta):
                    self._scribe.say(*retelling.hear(delta.text))
                else:
                    self._scribe.say(ReasoningDelta(delta.text))
        response = answer.response
        response.metadata = _told(began_at, first_at) | self.context
        return response

    def check_output(self, written: int) -> None:
        """Raises `OutputLimitExceeded` when the run has written more tokens than it may."""
        most = self._limits.max_output_tokens
        if most is not None and written > most:
            raise OutputLimitExceeded(tokens=written, most=most)

    def _check_used(self, used: Mapping[str, Any]) -> None:
        tokens, most = (used.get("input_tokens") or 0) + (used.get("output_tokens") or 0), self._limits.max_total_tokens
        if most is not None and tokens > most:
            raise TokenLimitExceeded(tokens=tokens, most=most)
        micros, dearest = used.get("cost_micros") or 0, self._limits.max_cost_micros
        if dearest is not None and micros > dearest:
            raise CostLimitExceeded(dollars=micros / 1_000_000, most=dearest / 1_000_000)


def _told(began_at: datetime, first_at: datetime | None) -> dict[str, Any]:
    """Return what is written down beside an answer, for the run's trace."""
    told: dict[str, Any] = {"began_at": began_at.isoformat(), "ended_at": now().isoformat()}
    if first_at is not None:
        told["first_ms"] = round((first_at - began_at).total_seconds() * 1000)
    return told
