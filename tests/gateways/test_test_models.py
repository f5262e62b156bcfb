"""The test models do what docs/test-models.md says, example by example."""

import json
import re
from pathlib import Path

import pytest
from pydantic_ai.messages import BinaryContent, ModelMessage, ModelRequest, ToolReturnPart, UserPromptPart

from ingram_app.engine.toolbox import NOTICE
from ingram_app.gateways.providers import (
    ModelAnswerEmpty,
    ModelKeyRefused,
    ModelNotFound,
    ModelQuotaExceeded,
    ModelRateLimited,
    ModelRequestFailed,
    ModelRequestRefused,
    ModelStreamBroken,
    ModelUnavailable,
    stream,
)
from ingram_app.gateways.providers.directives import Call, read
from tests.gateways.asking import Asked, ask, collect, said

GUIDE = (Path(__file__).parents[2] / "docs" / "test-models.md").read_text()


async def test_echo_repeats_the_last_user_message_word_by_word():
    asked = await ask("test/echo", None, [said("first"), said("Say  it\nagain, [[call me]] Sam")])
    assert asked.text == "Say  it\nagain, [[call me]] Sam"
    assert asked.texts[0] == "Say  "


async def test_echo_names_what_is_not_text():
    picture = BinaryContent(b"1234", media_type="image/png")
    message: ModelMessage = ModelRequest(parts=[UserPromptPart(["see", picture])])
    assert (await ask("test/echo", None, [message])).text == "see [image/png, 4 bytes]"


async def test_a_token_is_a_word():
    asked = await ask("test/echo", None, [said("one two"), said("three")], instructions="be quiet now")
    assert (asked.response.usage.input_tokens, asked.response.usage.output_tokens) == (6, 1)
    assert f"a notice of {len(NOTICE.split())} words" in GUIDE


async def test_slow_pauses_before_each_word():
    asked = await ask("test/slow", None, "[[pause 1ms]] one two [[words 5]]")
    assert asked.text == "one two one two one"


async def test_thoughts_come_as_reasoning():
    asked = await ask("test/slow", None, "[[think let me see]] [[pause 0ms]] yes")
    assert "".join(asked.thoughts) == "let me see"
    assert asked.text == "yes"
    assert asked.response.usage.details == {"reasoning_tokens": 3}


async def _with_results(prompt: str) -> list[Asked]:
    """Go on until the model stops calling tools; every tool answers with its arguments."""
    history, steps = [said(prompt)], []
    while not steps or steps[-1].response.tool_calls:
        steps.append(await ask("test/tools", None, history))
        results = [
            ToolReturnPart(call.tool_name, f"got {call.args_as_json_str()}", call.tool_call_id)
            for call in steps[-1].response.tool_calls
        ]
        history += [steps[-1].response, ModelRequest(parts=results)]
    return steps


async def test_each_call_directive_is_a_step_and_then_the_results_are_told():
    steps = await _with_results('[[call weather {"city": "Rome"}]] [[call mail]]')
    assert [[call.tool_name for call in step.response.tool_calls] for step in steps] == [["weather"], ["mail"], []]
    assert steps[-1].text == 'weather: got {"city":"Rome"}\nmail: got {}'


async def test_calls_joined_by_and_are_made_at_once():
    steps = await _with_results('[[call weather {"city": "Rome"} and weather {"city": "Oslo"}]]')
    calls = steps[0].response.tool_calls
    assert [call.args_as_dict()["city"] for call in calls] == ["Rome", "Oslo"]
    assert len({call.tool_call_id for call in calls}) == 2


async def test_a_new_turn_starts_its_steps_again_with_fresh_call_ids():
    prompt = "[[call ping]]"
    first = await ask("test/tools", None, prompt)
    result = ModelRequest(parts=[ToolReturnPart("ping", "pong", first.response.tool_calls[0].tool_call_id)])
    second = await ask("test/tools", None, [said(prompt), first.response, result, said(prompt)])
    assert second.response.tool_calls[0].tool_call_id != first.response.tool_calls[0].tool_call_id


async def test_without_a_call_to_make_the_message_is_repeated():
    assert (await ask("test/tools", None, "hello there")).text == "hello there"


def test_arguments_may_hold_brackets_and_need_not_be_json():
    read_ = read('[[call a {"list": [[1]], "and": "x and y"}]] then [[call b {oops]] go')
    assert read_.steps == ((Call("a", '{"list": [[1]], "and": "x and y"}'),), (Call("b", "{oops"),))
    assert read_.text == "then go"


FAILURES = {
    "key_refused": ModelKeyRefused,
    "quota_exceeded": ModelQuotaExceeded,
    "not_found": ModelNotFound,
    "rate_limited": ModelRateLimited,
    "request_refused": ModelRequestRefused,
    "unavailable": ModelUnavailable,
    "broken": ModelStreamBroken,
    "empty": ModelAnswerEmpty,
    "nonsense": ModelRequestRefused,
}


@pytest.mark.parametrize("kind", FAILURES)
async def test_fail_fails_in_the_way_that_is_asked_for(kind: str):
    with pytest.raises(ModelRequestFailed) as failed:
        await ask("test/fail", None, f"[[fail {kind}]]")
    assert type(failed.value) is FAILURES[kind]


async def test_fail_breaks_off_after_some_words():
    words = []
    async with stream("test/fail", None, [said("one two three four [[after 3 words]]")]) as answer:
        with pytest.raises(ModelStreamBroken):
            await collect(answer, words)
    assert words == ["one ", "two ", "three "]


async def test_fail_is_unavailable_when_nothing_else_is_asked_for():
    with pytest.raises(ModelUnavailable):
        await ask("test/fail", None, "hello")


async def test_other_test_models_are_not_there():
    with pytest.raises(ModelNotFound):
        await ask("test/nothing", None, "hello")


def test_the_guide_tells_every_failure_and_directive():
    for word in (*FAILURES, "call", "think", "pause", "words", "after", "fail"):
        assert word == "nonsense" or re.search(rf"\b{word}\b", GUIDE), word


def test_what_is_to_be_remembered_is_told_in_words_or_as_json() -> None:
    facts = read('[[remember Likes [tea].]] and [[remember {"content": "x", "replaces": 1}]] [[remember [1]]]').facts
    assert [json.loads(fact) for fact in facts] == [
        {"content": "Likes [tea]."},
        {"content": "x", "replaces": 1},
        {"content": "[1]"},
    ]
