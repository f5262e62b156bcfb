"""The prompt: what is written down of messages is less than they hold, and they are read as they were."""

from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.usage import RequestUsage
from pydantic_core import to_json

from ingram_app.engine import prompt

SAID: list[ModelMessage] = [
    ModelRequest(parts=[UserPromptPart("how much?")]),
    ModelResponse(
        parts=[ToolCallPart("add", {"a": 0}, "call-1"), TextPart("")],
        usage=RequestUsage(input_tokens=3, details={"reasoning_tokens": 0}),
        model_name="some",
        finish_reason="stop",
    ),
    ModelResponse(parts=[TextPart("that m")], state="interrupted"),
]


def test_messages_are_read_as_they_were_written() -> None:
    assert prompt.read(to_json(prompt.write(SAID)).decode()) == SAID


def test_nothing_is_written_that_is_empty_zero_or_as_always() -> None:
    asked, answered, broken = prompt.write(SAID)
    assert asked.keys() == {"kind", "parts"}
    assert answered["usage"] == {"input_tokens": 3, "output_tokens": 0, "details": {"reasoning_tokens": 0}}
    assert broken["state"] == "interrupted"
    assert answered["parts"][0]["args"] == {"a": 0}
