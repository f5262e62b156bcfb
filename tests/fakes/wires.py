"""Three dialects of a streamed answer: OpenAI's chat completions, Anthropic's messages, Gemini's content.

Each is a class with the events of an answer in the order they are sent; a wire writes no bytes itself.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import count
from typing import Any, ClassVar

from tests.fakes.knobs import Knobs

_numbers = count(1)


class Wire(ABC):
    """One answer: `opening`, `thought`s, `word`s or the `call`s, `closing`."""

    def __init__(self, model: str, knobs: Knobs, prompt_tokens: int) -> None:
        self.model = model
        self.knobs = knobs
        self.prompt_tokens = prompt_tokens
        self.number = next(_numbers)

    def opening(self) -> bytes:
        return b""

    @abstractmethod
    def thought(self, text: str) -> bytes: ...

    @abstractmethod
    def word(self, text: str) -> bytes: ...

    @abstractmethod
    def call(self, index: int) -> bytes: ...

    @abstractmethod
    def closing(self) -> bytes: ...

    @abstractmethod
    def error_event(self) -> bytes: ...

    @classmethod
    @abstractmethod
    def refusal(cls, status: int) -> dict[str, Any]: ...

    @property
    def answer_tokens(self) -> int:
        return len(self.knobs.words()) + self.knobs.think

    def events(self) -> Iterator[bytes]:
        """Yield the opening, then one piece a token; the closing is the caller's to send."""
        yield from map(self.thought, self.knobs.thoughts())
        if self.knobs.call:
            yield from map(self.call, range(self.knobs.calls))
        else:
            yield from map(self.word, self.knobs.words())


class ChatCompletions(Wire):
    """OpenAI, and all who speak like it."""

    def opening(self) -> bytes:
        return self._delta({"role": "assistant", "content": ""})

    def thought(self, text: str) -> bytes:
        return self._delta({"reasoning_content": text})

    def word(self, text: str) -> bytes:
        return self._delta({"content": text})

    def call(self, index: int) -> bytes:
        begun = {"index": index, "id": f"call_{self.number}_{index}", "type": "function"}
        half = len(self.knobs.arguments) // 2
        first, second = self.knobs.arguments[:half], self.knobs.arguments[half:]
        return self._delta(
            {"tool_calls": [begun | {"function": {"name": self.knobs.call, "arguments": first}}]}
        ) + self._delta({"tool_calls": [{"index": index, "function": {"arguments": second}}]})

    def closing(self) -> bytes:
        finish = ("tool_calls" if self.knobs.call else "stop") if self.knobs.finish else None
        pieces = [self._delta({}, finish)]
        if self.knobs.usage:
            pieces.append(self._data({"choices": [], "usage": self._usage()}))
        if self.knobs.done:
            pieces.append(b"data: [DONE]\n\n")
        return b"".join(pieces)

    def error_event(self) -> bytes:
        return _data({"error": {"message": "the fake model broke", "type": "server_error", "code": None}})

    @classmethod
    def refusal(cls, status: int) -> dict[str, Any]:
        message = f"the fake model says {status}"
        return {"error": {"message": message, "type": "invalid_request_error", "code": None, "param": None}}

    def _delta(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        return self._data({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    def _data(self, content: dict[str, Any]) -> bytes:
        head = {"id": f"chatcmpl-{self.number}", "object": "chat.completion.chunk", "created": 1, "model": self.model}
        return _data(head | content)

    def _usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.answer_tokens,
            "total_tokens": self.prompt_tokens + self.answer_tokens,
            "prompt_tokens_details": {"cached_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": self.knobs.think},
        }


class Messages(Wire):
    """Anthropic. Its content comes in blocks, each opened and closed."""

    def __init__(self, model: str, knobs: Knobs, prompt_tokens: int) -> None:
        super().__init__(model, knobs, prompt_tokens)
        self._block: str | None = None
        self._index = -1

    def opening(self) -> bytes:
        usage = {"input_tokens": self.prompt_tokens, "output_tokens": 1}
        message = {"id": f"msg_{self.number}", "type": "message", "role": "assistant", "model": self.model}
        rest: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        return self._event("message_start", message=message | rest)

    def thought(self, text: str) -> bytes:
        opened = self._in_block("thinking", {"type": "thinking", "thinking": "", "signature": ""})
        return opened + self._delta({"type": "thinking_delta", "thinking": text})

    def word(self, text: str) -> bytes:
        return self._in_block("text", {"type": "text", "text": ""}) + self._delta({"type": "text_delta", "text": text})

    def call(self, index: int) -> bytes:
        block: dict[str, Any] = {
            "type": "tool_use",
            "id": f"toolu_{self.number}_{index}",
            "name": self.knobs.call,
            "input": {},
        }
        opened = self._in_block(f"call {index}", block)
        return opened + self._delta({"type": "input_json_delta", "partial_json": self.knobs.arguments})

    def closing(self) -> bytes:
        ended = self._close_block()
        if self.knobs.finish:
            delta = {"stop_reason": "tool_use" if self.knobs.call else "end_turn", "stop_sequence": None}
            ended += self._event("message_delta", delta=delta, usage={"output_tokens": self.answer_tokens})
        return ended + (self._event("message_stop") if self.knobs.done else b"")

    def error_event(self) -> bytes:
        return self._event("error", error={"type": "overloaded_error", "message": "the fake model broke"})

    @classmethod
    def refusal(cls, status: int) -> dict[str, Any]:
        kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
        kind = kinds.get(status, "invalid_request_error" if status < 500 else "api_error")
        return {"type": "error", "error": {"type": kind, "message": f"the fake model says {status}"}}

    def _in_block(self, name: str, content: dict[str, Any]) -> bytes:
        if self._block == name:
            return b""
        closed = self._close_block()
        self._block, self._index = name, self._index + 1
        return closed + self._event("content_block_start", index=self._index, content_block=content)

    def _close_block(self) -> bytes:
        if self._block is None:
            return b""
        self._block = None
        return self._event("content_block_stop", index=self._index)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return self._event("content_block_delta", index=self._index, delta=delta)

    @staticmethod
    def _event(kind: str, **content: object) -> bytes:
        return f"event: {kind}\n".encode() + _data({"type": kind, **content})


class GenerateContent(Wire):
    """Google. Every event is a whole response with the next part."""

    _STATUS: ClassVar[dict[int, str]] = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        503: "UNAVAILABLE",
    }

    def thought(self, text: str) -> bytes:
        return self._part({"text": text, "thought": True})

    def word(self, text: str) -> bytes:
        return self._part({"text": text})

    def call(self, index: int) -> bytes:
        return self._part({"functionCall": {"name": self.knobs.call, "args": json.loads(self.knobs.arguments)}})

    def closing(self) -> bytes:
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": []}, "index": 0}
        if self.knobs.finish:
            candidate["finishReason"] = "STOP"
        usage = {"usageMetadata": self._usage()} if self.knobs.usage else {}
        return self._data({"candidates": [candidate]} | usage)

    def error_event(self) -> bytes:
        return _data({"error": {"code": 503, "message": "the fake model broke", "status": "UNAVAILABLE"}})

    @classmethod
    def refusal(cls, status: int) -> dict[str, Any]:
        named = cls._STATUS.get(status, "INTERNAL")
        return {"error": {"code": status, "message": f"the fake model says {status}", "status": named}}

    def _part(self, part: dict[str, Any]) -> bytes:
        return self._data({"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}]})

    def _data(self, content: dict[str, Any]) -> bytes:
        return _data(content | {"modelVersion": self.model, "responseId": f"response-{self.number}"})

    def _usage(self) -> dict[str, int]:
        words = len(self.knobs.words())
        return {
            "promptTokenCount": self.prompt_tokens,
            "candidatesTokenCount": words,
            "thoughtsTokenCount": self.knobs.think,
            "totalTokenCount": self.prompt_tokens + self.answer_tokens,
        }


def _data(content: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(content, separators=(",", ":")).encode() + b"\n\n"
