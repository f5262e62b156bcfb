"""The test models: deterministic, free, and obedient to what the last user message asks for (see `directives`).

`test/echo` repeats it, `test/slow` repeats it slowly, `test/tools` calls tools, `test/fail` fails.
A token is a word. A step is a response after the last user message.
"""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextContent,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from ingram_app.gateways.providers.chunks import Chunk
from ingram_app.gateways.providers.directives import Call, Directives, read
from ingram_app.gateways.providers.embedded import EmbeddedModel
from ingram_app.gateways.providers.openai_request import wire_messages
from ingram_app.gateways.providers.provider import CatalogModel, Credential, Provider

_PAUSE_SECONDS = 0.05
_NOTES = "save_facts"
"""The one tool that a model has when it is asked, after a turn, what is to be remembered of it."""
_STATUS_OF = {
    "key_refused": 401,
    "quota_exceeded": 402,
    "not_found": 404,
    "rate_limited": 429,
    "request_refused": 400,
    "unavailable": 503,
}


class Test(Provider):
    """What a customer's own end-to-end tests run on."""

    __test__ = False  # pytest would collect it

    id = "test"
    label = "Test"
    needs_key = False
    takes_base_url = False
    context_tokens = 128_000
    models = (
        CatalogModel("test/echo", "Echo: repeats the message"),
        CatalogModel("test/slow", "Slow: repeats it word by word, with pauses"),
        CatalogModel("test/tools", "Tools: makes the tool calls the message asks for"),
        CatalogModel("test/fail", "Fail: fails the way the message asks for"),
    )

    def model(self, name: str, credential: Credential | None) -> Model:
        return _TestModel(name, self.id)

    def learns(self, said: str) -> bool:
        return "[[remember" in said


@dataclass(frozen=True, slots=True)
class _Turn:
    """The last user message, what it asks for, the tool results since, and how many steps were made."""

    message: str
    asks: Directives
    results: tuple[ToolReturnPart, ...]
    steps_made: int
    calls_before: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one response will be."""

    text: str = ""
    thoughts: str = ""
    calls: tuple[Call, ...] = ()
    pause_seconds: float = 0
    breaks_after: int | None = None


class _TestModel(EmbeddedModel):
    async def chunks(
        self, messages: list[ModelMessage], settings: ModelSettings, parameters: ModelRequestParameters
    ) -> AsyncGenerator[Chunk, None]:
        plan_for = _PLANS.get(self.model_name)
        if plan_for is None:
            raise ModelHTTPError(404, self.model_name)
        turn = _turn(messages)
        is_to_note = [tool.name for tool in parameters.function_tools] == [_NOTES]
        plan = _note(turn) if is_to_note else plan_for(turn)
        for word in _words(plan.thoughts):
            await asyncio.sleep(plan.pause_seconds)
            yield _delta(reasoning_content=word)
        for number, word in enumerate(_words(plan.text)):
            if number == plan.breaks_after:
                raise ModelAPIError(self.model_name, f"it was asked to break off after {number} words")
            await asyncio.sleep(plan.pause_seconds)
            yield _delta(content=word)
        if plan.breaks_after is not None:
            raise ModelAPIError(self.model_name, "it was asked to break off")
        for number, call in enumerate(plan.calls):
            yield _delta(tool_calls=[_wire_call(call, number, turn.calls_before)])
        finish = "tool_calls" if plan.calls else "stop"
        yield {"choices": [{"finish_reason": finish}], "usage": _usage(messages, parameters, plan)}


def _note(turn: _Turn) -> _Plan:
    facts = [json.loads(fact) for fact in turn.asks.facts]
    return _Plan(calls=(Call(_NOTES, json.dumps({"facts": facts}, ensure_ascii=False)),))


def _echo(turn: _Turn) -> _Plan:
    return _Plan(text=turn.message)


def _slow(turn: _Turn) -> _Plan:
    pause = turn.asks.pause_seconds
    return _Plan(
        text=_sized(turn.asks), thoughts=turn.asks.thoughts, pause_seconds=_PAUSE_SECONDS if pause is None else pause
    )


def _tools(turn: _Turn) -> _Plan:
    pause, thoughts = turn.asks.pause_seconds or 0, turn.asks.thoughts if turn.steps_made == 0 else ""
    if turn.steps_made < len(turn.asks.steps):
        return _Plan(thoughts=thoughts, calls=turn.asks.steps[turn.steps_made], pause_seconds=pause)
    told = [f"{result.tool_name}: {result.model_response_str()}" for result in turn.results]
    return _Plan(text="\n".join(told) or _sized(turn.asks), thoughts=thoughts, pause_seconds=pause)


def _fail(turn: _Turn) -> _Plan:
    """Return a plan that fails on its way. Raises what an adapter raises when it fails before the first token."""
    kind = turn.asks.failure or ("broken" if turn.asks.after_words is not None else "unavailable")
    if kind == "empty":
        return _Plan()
    if kind == "broken":
        pause = turn.asks.pause_seconds or 0
        return _Plan(text=_sized(turn.asks), breaks_after=turn.asks.after_words or 0, pause_seconds=pause)
    if kind not in _STATUS_OF:
        known = ", ".join((*_STATUS_OF, "broken", "empty"))
        raise ModelHTTPError(400, "fail", f"there is no failure {kind}; there are {known}")
    raise ModelHTTPError(_STATUS_OF[kind], "fail", f"it was asked to fail: {kind}")


_PLANS: dict[str, Callable[[_Turn], _Plan]] = {"echo": _echo, "slow": _slow, "tools": _tools, "fail": _fail}


def _sized(asks: Directives) -> str:
    """Return the text, or as many words as were asked for: the text's own, over and over."""
    if asks.words is None:
        return asks.text
    words = asks.text.split() or ["word"]
    return " ".join(words[number % len(words)] for number in range(asks.words))


def _turn(messages: Sequence[ModelMessage]) -> _Turn:
    prompts = [number for number, message in enumerate(messages) if _prompt(message) is not None]
    since = messages[prompts[-1] :] if prompts else messages
    message = (_prompt(since[0]) if since else None) or ""
    return _Turn(
        message=message,
        asks=read(message),
        results=tuple(part for each in since for part in each.parts if isinstance(part, ToolReturnPart)),
        steps_made=sum(isinstance(each, ModelResponse) for each in since),
        calls_before=sum(isinstance(part, ToolCallPart) for each in messages for part in each.parts),
    )


def _prompt(message: ModelMessage) -> str | None:
    """Return the text of the last user prompt in a message, if it has one."""
    if isinstance(message, ModelRequest):
        for part in reversed(message.parts):
            if isinstance(part, UserPromptPart):
                return part.content if isinstance(part.content, str) else " ".join(map(_text, part.content))
    return None


def _text(item: UserContent) -> str:
    match item:
        case str():
            return item
        case TextContent():
            return item.content
        case BinaryContent():
            return f"[{item.media_type}, {len(item.data)} bytes]"
    return f"[{item.kind}]"


def _words(text: str) -> list[str]:
    """Return the words, each with the space that follows it: joined again they are the text."""
    return re.findall(r"\s*\S+\s*", text)


def _delta(**delta: object) -> Chunk:
    return {"choices": [{"delta": delta}]}


def _wire_call(call: Call, number: int, before: int) -> dict[str, object]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"index": number, "id": f"call_{before + number + 1}", "function": function}


def _usage(messages: Sequence[ModelMessage], parameters: ModelRequestParameters, plan: _Plan) -> dict[str, object]:
    instructions = " ".join(part.content for part in parameters.instruction_parts or ())
    heard = [str(message["content"] or "") for message in wire_messages(messages, instructions)]
    said = [plan.thoughts, plan.text, *(f"{call.name} {call.arguments}" for call in plan.calls)]
    return {
        "prompt_tokens": sum(len(text.split()) for text in heard),
        "completion_tokens": sum(len(text.split()) for text in said),
        "completion_tokens_details": {"reasoning_tokens": len(plan.thoughts.split())},
    }
