"""A turn in which tools were used, told to each kind of provider as the past it is."""

import pytest
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from ingram_app.gateways.providers import Credential
from tests.gateways.asking import WEATHER, ask, said
from tests.gateways.conftest import KEY, FakeModels

CALLS = [
    ToolCallPart("weather", '{"city": "Rome"}', tool_call_id="call_1"),
    ToolCallPart("weather", "{oops", tool_call_id="call_2"),
    ToolCallPart("nothing", "[1]", tool_call_id="call_3"),
    ToolCallPart("weather", "", tool_call_id="call_4"),
]
TOLD = ["<untrusted-data>\nsunny\n</untrusted-data>", "no JSON", "There is no tool nothing.", "rejected"]


@pytest.mark.parametrize("model", ["gpt-5.2", "claude-sonnet-5-5", "gemini-3.8-flash"])
async def test_calls_and_their_returns_can_be_told_again_however_wrong_they_were(
    models: FakeModels, model: str
) -> None:
    returns = [
        ToolReturnPart(call.tool_name, told, tool_call_id=call.tool_call_id, outcome="failed" if number else "success")
        for number, (call, told) in enumerate(zip(CALLS, TOLD, strict=True))
    ]
    turn = [said("weather?"), ModelResponse(parts=[*CALLS]), ModelRequest(parts=[*returns]), said("tokens=2")]
    kept = ModelMessagesTypeAdapter.validate_json(ModelMessagesTypeAdapter.dump_json(turn))
    address = models.credential.base_url if model == "gpt-5.2" else models.address
    asked = await ask(model, Credential(KEY, address), kept, tools=[WEATHER])
    assert asked.text == "the quick "
    body = str((await models.seen())["last"]["body"])
    for told in ("sunny", "no JSON", "There is no tool nothing.", "rejected"):
        assert told in body


@pytest.mark.parametrize("model", ["gpt-5.2", "claude-sonnet-5-5", "gemini-3.8-flash"])
async def test_what_was_said_is_as_it_was_once_it_has_been_told(models: FakeModels, model: str) -> None:
    png = BinaryContent(b"\x89PNG", media_type="image/png", identifier="a.png")
    turn = [
        ModelRequest(parts=[UserPromptPart(["weather?", png])]),
        ModelResponse(parts=[ThinkingPart("hm"), TextPart("Let me look."), CALLS[0]], provider_name="anthropic"),
        ModelRequest(parts=[ToolReturnPart("weather", {"is": "sunny"}, tool_call_id="call_1")]),
        ModelResponse(parts=[TextPart("It is sunny.")], metadata={"first_ms": 3}),
        said("tokens=2"),
    ]
    kept = ModelMessagesTypeAdapter.dump_json(turn)
    told = ModelMessagesTypeAdapter.validate_json(kept)
    address = models.credential.base_url if model == "gpt-5.2" else models.address
    await ask(model, Credential(KEY, address), told, tools=[WEATHER])
    assert "It is sunny." in str((await models.seen())["last"]["body"])
    assert ModelMessagesTypeAdapter.dump_json(told) == kept
