"""Asking: the model calls of one run, their words handed on as they come."""

from collections.abc import Callable, Sequence

from pydantic_ai.messages import ModelMessage, ModelResponse

from ingram_app.core.errors import IngramError
from ingram_app.domain.frames import ReasoningDelta
from ingram_app.domain.model_keys import Access
from ingram_app.domain.projects import Limits
from ingram_app.domain.runs import Run
from ingram_app.engine import prompt
from ingram_app.engine.retelling import Retelling
from ingram_app.engine.scribe import Scribe
from ingram_app.engine.standing import reach
from ingram_app.engine.toolbox import Toolbox
from ingram_app.gateways import providers
from ingram_app.gateways.providers import TextDelta


class OutputLimitExceeded(IngramError):
    """The run wrote {tokens} tokens; {most} are allowed. The setting max_output_tokens allows more."""


class Asking:
    """Has the run's model answer, call after call. No transaction is open meanwhile."""

    def __init__(
        self, run: Run, limits: Limits, scribe: Scribe, access: Access | None, warn: Callable[[str, str], None]
    ) -> None:
        self._run = run
        self._limits = limits
        self._scribe = scribe
        self._access = access
        self._warn = warn

    async def ask(self, messages: Sequence[ModelMessage], said: str, toolbox: Toolbox) -> ModelResponse:
        """Return the model's answer to `messages`; watchers have heard `said` of it already.

        Raises `OutputLimitExceeded`, `ModelRequestFailed`, `ModelKeyMissing`.
        """
        self._access = self._access or await reach(self._run)
        retelling = Retelling(said)
        deltas = 0
        async with providers.stream(
            self._run.model,
            self._access.credential,
            messages,
            instructions=toolbox.instructions(prompt.instructions(self._run)),
            settings=prompt.settings(self._run, self._limits.max_output_tokens),
            tools=toolbox.definitions,
        ) as answer:
            async for delta in answer:
                deltas += 1
                self.check_output(deltas)  # a delta is a token at the least; what never ends tells no usage
                if isinstance(delta, TextDelta):
                    self._scribe.say(*retelling.hear(delta.text))
                else:
                    self._scribe.say(ReasoningDelta(delta.text))
        self._scribe.say(*retelling.end())
        if retelling.differs:
            self._warn("model_call_repeated", "A model call was interrupted and made again; its words changed.")
        return answer.response

    def check_output(self, written: int) -> None:
        """Raises `OutputLimitExceeded` when the run has written more tokens than it may."""
        most = self._limits.max_output_tokens
        if most is not None and written > most:
            raise OutputLimitExceeded(tokens=written, most=most)
