"""Speech: what the model layer wrote down, as people and programs read it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ingram_app.domain import speech
from ingram_app.domain.transcripts import INTERRUPTED, broken_off
from ingram_app.engine import prompt

BEGUN = datetime(2026, 1, 2, tzinfo=UTC)
SAID = {"part_kind": "user-prompt", "content": "call it"}
CALL = {"part_kind": "tool-call", "tool_name": "lamp", "args": '{"on": true}', "tool_call_id": "c1"}
RETURN = {"part_kind": "tool-return", "tool_name": "lamp", "tool_call_id": "c1", "content": {"lit": 1}}


def request(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": "request", "parts": list(parts), **more}


def response(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": "response", "parts": list(parts), **more}


@pytest.mark.parametrize(
    ("written", "role", "content"),
    [
        ({"role": "user", "content": "hello"}, "user", [{"type": "text", "text": "hello"}]),
        (request(SAID), "user", [{"type": "text", "text": "call it"}]),
        (request({"part_kind": "user-prompt", "content": ["a", "b"]}), "user",
         [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        (response({"part_kind": "thinking", "content": "hm"}, {"part_kind": "text", "content": "so"}), "assistant",
         [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "so"}]),
        (response(CALL), "assistant",
         [{"type": "tool_call", "tool_call_id": "c1", "tool": "lamp", "args": {"on": True}}]),
        (response(CALL | {"args": "{oops"}), "assistant",
         [{"type": "tool_call", "tool_call_id": "c1", "tool": "lamp", "args": "{oops"}]),
        (request({"part_kind": "user-prompt", "content": ["a", {"kind": "image-url", "url": "https://a/b"}]}), "user",
         [{"type": "text", "text": "a"}, {"type": "image", "url": "https://a/b"}]),
        (request(RETURN), "tool",
         [{"type": "tool_result", "tool_call_id": "c1", "tool": "lamp", "result": {"lit": 1}, "is_error": False}]),
        (request(RETURN | {"outcome": "failed", "content": "no"}), "tool",
         [{"type": "tool_result", "tool_call_id": "c1", "tool": "lamp", "result": "no", "is_error": True}]),
    ],
)  # fmt: skip
def test_a_message_is_shown_in_plain_parts(written: Any, role: str, content: Any) -> None:
    told = speech.read(written, "run_1", BEGUN)
    assert (told.role, told.content, told.created_at) == (role, content, BEGUN)


def test_a_message_that_tells_its_time_keeps_it() -> None:
    told = speech.read(response(timestamp="2026-03-04T05:06:07Z"), "run_1", BEGUN)
    assert told.created_at == datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def test_where_a_turn_was_interrupted_is_marked() -> None:
    marked = broken_off([request(SAID), response(CALL)])
    *_, last = [speech.read(message, "run_1", BEGUN) for message in marked]
    assert last.role == "tool"
    assert last.content[0]["result"] == INTERRUPTED
    assert last.content[1] == {"type": "interruption", "text": INTERRUPTED}
    assert speech.read(broken_off([request(SAID)])[-1], "run_1", BEGUN).role == "system"


def test_an_interrupted_turn_is_one_that_the_model_layer_reads() -> None:
    answered = broken_off([request(SAID), response(CALL, CALL | {"tool_call_id": "c2"}), request(RETURN)])
    read = prompt.write(
        prompt.read(str(answered).replace("'", '"').replace("True", "true").replace('"{"on": true}"', "{}"))
    )
    assert [part["part_kind"] for part in read[-1]["parts"]] == ["tool-return", "tool-return", "user-prompt"]
    assert [part.get("tool_call_id") for part in read[-1]["parts"]] == ["c1", "c2", None]
