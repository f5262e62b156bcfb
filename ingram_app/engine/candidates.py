"""Candidates: the models that may answer a run, its own first, and how often each is asked.

A provider that fails before anything of its answer has come is asked again a few times, after as long as it asks for;
then the next model's turn comes. A provider that refuses (the key, the request) is neither asked again nor replaced.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from pydantic_ai.messages import ModelResponse

from ingram_app.domain.model_keys import Access
from ingram_app.domain.runs import Run
from ingram_app.engine import circuits
from ingram_app.engine.standing import reach
from ingram_app.gateways.providers import ModelKeyMissing, ModelRequestFailed, ModelTimedOut, UnknownProvider

TRIES = 4
FIRST_WAIT_SECONDS = 0.25
"""At most; it doubles from try to try, and chance takes from it what it likes."""
LONGEST_WAIT_SECONDS = 30.0
LONGEST_WAIT_BESIDE_ANOTHER_SECONDS = 3.0
"""A provider that asks to wait longer is not waited for; this when another model stands by."""

Call = Callable[[str, Access], Awaitable[ModelResponse]]
Warn = Callable[[str, str], None]


class Candidates:
    """The run's model and its fallback models, for as long as the run is carried here."""

    def __init__(self, run: Run, access: Access | None, max_seconds: int, warn: Warn) -> None:
        self._run = run
        self._first = run.model
        self._access = access
        self._until = time.monotonic() + max_seconds
        self._warn = warn
        self._models: list[str] = []

    @property
    def models(self) -> list[str]:
        """Those that may answer, the one that is asked now first."""
        fallbacks = self._run.config.get("fallback_models", ())
        self._models = self._models or list(dict.fromkeys([self._first, *fallbacks]))
        return self._models

    async def prefer(self, model: str) -> None:
        """Ask this model first from now on. Raises `ModelKeyMissing`, `UnknownProvider`."""
        if model == self._first:
            return
        self._access = await reach(self._run, model)
        self._first = model
        self._models = []

    async def answer(self, call: Call) -> ModelResponse:
        """Return what the first model answers that does. Raises `ModelRequestFailed`, `ModelKeyMissing`."""
        self._access = self._access or await reach(self._run, self.models[0])
        while True:
            model, access = self.models[0], self._access
            try:
                response = await self._persist(model, access, call)
            except ModelRequestFailed as failure:
                if not _may_help(failure) or not await self._replace(failure):
                    raise
                continue
            response.metadata = (response.metadata or {}) | {"model": model}
            return response

    async def _persist(self, model: str, access: Access, call: Call) -> ModelResponse:
        """Ask one model, again if need be. Raises `ModelRequestFailed`."""
        if len(self.models) > 1 and (known := circuits.last_failure(access)):
            raise known
        tried = 0
        try:
            while True:
                tried += 1
                try:
                    response = await call(model, access)
                except ModelRequestFailed as failure:
                    if not _may_help(failure):
                        raise
                    circuits.failed(access, failure)
                    wait = _wait(failure, tried)
                    if tried == TRIES or wait > self._longest_wait(failure) or circuits.last_failure(access):
                        raise
                else:
                    circuits.answered(access)
                    return response
                await asyncio.sleep(wait)
        finally:
            if tried > 1:
                self._warn("model_call_retried", f"{model} did not answer at first, and was asked {tried} times.")

    def _longest_wait(self, failure: ModelRequestFailed) -> float:
        if isinstance(failure, ModelTimedOut):
            return -1  # it was waited for long enough
        longest = LONGEST_WAIT_BESIDE_ANOTHER_SECONDS if len(self.models) > 1 else LONGEST_WAIT_SECONDS
        return min(longest, self._until - time.monotonic())

    async def _replace(self, failure: ModelRequestFailed) -> bool:
        """Let the next model that can be reached take the first one's place; tell whether there is one."""
        gone = self.models[0]
        for number, model in enumerate(self.models[1:], start=1):
            try:
                self._access = await reach(self._run, model)
            except (ModelKeyMissing, UnknownProvider) as unreachable:
                self._warn("fallback_model_unreachable", unreachable.sentence)
                continue
            self._models = self.models[number:]
            self._warn("model_fallback", f"{gone} did not answer ({failure.code}); {model} is asked instead.")
            return True
        return False


def answered_by(response: ModelResponse, run: Run) -> str:
    """Return the id of the model that gave this answer."""
    return str((response.metadata or {}).get("model", run.model))


def _may_help(failure: ModelRequestFailed) -> bool:
    """Tell whether asking again, or another model, can help."""
    return failure.retryable and not failure.begun


def _wait(failure: ModelRequestFailed, tried: int) -> float:
    """Return how many seconds to wait before the next try."""
    if failure.wait_seconds is not None:
        return failure.wait_seconds
    return random.uniform(0, FIRST_WAIT_SECONDS * 2 ** (tried - 1))
