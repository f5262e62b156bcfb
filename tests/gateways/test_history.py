"""A turn in which tools were used, told to each kind of provider as the past it is."""

import pytest
from pydantic_ai.messages import ModelMessagesTypeAdapter, ModelRequest, ModelResponse, ToolCallPart, ToolReturnPart

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
