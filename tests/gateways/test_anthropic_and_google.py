"""The two providers behind adapters of pydantic-ai, over real HTTP to the fake server."""

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, ToolCallPart, ToolReturnPart

from ingram_app.core.settings import settings
from ingram_app.gateways.outbound import ForbiddenTarget
from ingram_app.gateways.providers import (
    Credential,
    ModelAnswerEmpty,
    ModelKeyMissing,
    ModelKeyRefused,
    ModelNotFound,
    ModelRateLimited,
    ModelRequestFailed,
    ModelRequestRefused,
    ModelStreamBroken,
    ModelUnavailable,
)
from tests.gateways.asking import WEATHER, ask, said
from tests.gateways.conftest import KEY, FakeModels

BOTH = pytest.mark.parametrize("model", ["claude-sonnet-5-5", "gemini-3.8-flash"])


def credential(models: FakeModels) -> Credential:
    return Credential(KEY, models.address)


@BOTH
async def test_an_answer_comes_in_pieces_with_its_usage(models: FakeModels, model: str):
    asked = await ask(model, credential(models), "tokens=3", instructions="Be brief.")
    assert asked.texts == ["the ", "quick ", "brown "]
    assert asked.response.usage.output_tokens == 3
    assert asked.response.usage.input_tokens > 0
    last = (await models.seen())["last"]
    assert KEY in " ".join(last["headers"].values())
    assert "Be brief." in str(last["body"])


@BOTH
async def test_reasoning_comes_apart_from_the_text(models: FakeModels, model: str):
    asked = await ask(model, credential(models), "think=2 tokens=1")
    assert asked.thoughts == ["hm ", "hm "]
    assert asked.text == "the "


@BOTH
async def test_a_tool_is_called_and_its_result_answered(models: FakeModels, model: str):
    asked = await ask(model, credential(models), "call=weather tokens=2", tools=[WEATHER])
    [call] = asked.response.tool_calls
    assert (call.tool_name, call.args_as_dict()) == ("weather", {"city": "Rome"})
    history: list[ModelMessage] = [
        said("call=weather tokens=2"),
        asked.response,
        ModelRequest(parts=[ToolReturnPart("weather", "sunny", call.tool_call_id)]),
    ]
    answered = await ask(model, credential(models), history, tools=[WEATHER])
    assert answered.text == "the quick "
    assert "sunny" in str((await models.seen())["last"]["body"])


@BOTH
async def test_a_history_of_another_provider_can_be_gone_on_with(models: FakeModels, model: str):
    history: list[ModelMessage] = [
        said("Where?"),
        ModelResponse([ToolCallPart("weather", "{}", "call_1")], provider_name="openai", model_name="gpt-6-sol"),
        ModelRequest(parts=[ToolReturnPart("weather", "sunny", "call_1")]),
    ]
    assert (await ask(model, credential(models), history, tools=[WEATHER])).text


@BOTH
@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("fail=401", ModelKeyRefused),
        ("fail=404", ModelNotFound),
        ("fail=429", ModelRateLimited),
        ("fail=400", ModelRequestRefused),
        ("fail=500", ModelUnavailable),
        ("cut=3", ModelStreamBroken),
        ("break=3", ModelStreamBroken),
        ("break=0", ModelUnavailable),
        ("finish=0 done=0", ModelStreamBroken),
        ("empty=1", ModelAnswerEmpty),
    ],
)
async def test_each_failure_is_an_error_of_its_own(
    models: FakeModels, model: str, prompt: str, kind: type[ModelRequestFailed]
):
    with pytest.raises(ModelRequestFailed) as failed:
        await ask(model, credential(models), prompt)
    assert type(failed.value) is kind, failed.value.sentence
    assert (await models.seen())["requests"] == 1


@BOTH
async def test_a_base_url_inside_is_refused(monkeypatch: pytest.MonkeyPatch, model: str):
    monkeypatch.delenv("IC_ALLOW_PRIVATE_ADDRESSES", raising=False)
    settings.cache_clear()
    with pytest.raises(ForbiddenTarget):
        await ask(model, Credential(KEY, "http://127.0.0.1:9"), "hello")


@BOTH
async def test_without_a_key_nothing_is_asked(monkeypatch: pytest.MonkeyPatch, model: str):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "of-the-environment")
    monkeypatch.setenv("GOOGLE_API_KEY", "of-the-environment")
    with pytest.raises(ModelKeyMissing):
        await ask(model, None, "hello")
