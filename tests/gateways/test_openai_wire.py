"""OpenAI and compatible endpoints, over real HTTP to the fake server."""

import asyncio
import logging
import socket
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic_ai.exceptions import ModelAPIError
from pydantic_ai.messages import (
    BinaryContent,
    ModelRequest,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from ingram_app.gateways.providers import (
    BaseUrlRequired,
    Credential,
    ModelAnswerEmpty,
    ModelKeyMissing,
    ModelKeyRefused,
    ModelNotFound,
    ModelRateLimited,
    ModelRequestFailed,
    ModelRequestRefused,
    ModelStreamBroken,
    ModelTimedOut,
    ModelUnavailable,
    stream,
)
from ingram_app.gateways.providers.chunks import Chunk, Merged, merged
from tests.fakes.http import Connection, Handler, Reply, Request
from tests.gateways.asking import WEATHER, ask, collect, said
from tests.gateways.conftest import KEY, FakeModels


async def test_an_answer_comes_in_pieces_and_whole_at_the_end(models: FakeModels):
    asked = await ask("house/fake", models.credential, "tokens=3 delay_ms=20", instructions="Be brief.")
    assert asked.texts == ["the ", "quick ", "brown "]
    assert asked.response.text == "the quick brown "
    assert asked.response.finish_reason == "stop"
    assert asked.response.usage.output_tokens == 3
    assert asked.response.usage.cache_read_tokens == 1


def _chunk(text: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "1", "choices": [{"index": 0, "delta": {"content": text, **delta}, "finish_reason": finish}]}


def test_words_that_came_together_are_handed_on_together_and_still_counted() -> None:
    call = _chunk(tool_calls=[{"index": 0, "function": {"name": "f"}}])
    usage = {"choices": [], "usage": {"prompt_tokens": 1}}
    came = [
        _chunk("", role="assistant"),
        _chunk("a"),
        _chunk("b"),
        call,
        _chunk("c"),
        _chunk("d"),
        _chunk("e", "stop"),
        usage,
    ]
    whole = list(merged(came, ()))
    assert [_text_of(chunk) for chunk in whole] == ["ab", None, "cd", "e", None]
    assert [chunk.pieces for chunk in whole if isinstance(chunk, Merged)] == [2, 2]
    assert (whole[1], whole[3], whole[4]) == (call, came[6], usage)


def test_words_that_stand_apart_stay_alone() -> None:
    came = [_chunk("a"), _chunk("<think>"), _chunk("b"), _chunk("c")]
    assert [_text_of(chunk) for chunk in merged(came, ("<think>",))] == ["a", "<think>", "bc"]


def test_what_came_before_nonsense_is_handed_on_before_it_is_told() -> None:
    def come() -> Iterator[dict[str, Any]]:
        yield from (_chunk("a"), _chunk("b"))
        raise ModelAPIError("fake", "nonsense")

    heard: list[str | None] = []
    with pytest.raises(ModelAPIError):
        heard.extend(_text_of(chunk) for chunk in merged(come(), ()))
    assert heard == ["ab"]


def _text_of(chunk: Chunk) -> str | None:
    text: str | None = chunk["choices"][0]["delta"]["content"] if chunk["choices"] else None
    return text


async def test_the_request_carries_key_instructions_and_model(models: FakeModels):
    await ask("house/fake", models.credential, "hello", instructions="Be brief.", settings={"max_tokens": 9})
    last = (await models.seen())["last"]
    assert last["headers"]["authorization"] == f"Bearer {KEY}"
    assert last["body"]["model"] == "fake"
    assert last["body"]["max_tokens"] == 9
    assert last["body"]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hello"},
    ]


async def test_openai_itself_is_told_its_own_name_of_a_limit_and_no_sampling_where_it_reasons(models: FakeModels):
    await ask("gpt-5", models.credential, "hello", settings={"max_tokens": 9, "temperature": 0, "thinking": "max"})
    body = (await models.seen())["last"]["body"]
    assert body["max_completion_tokens"] == 9
    assert body["reasoning_effort"] == "high"
    assert "temperature" not in body


async def test_reasoning_comes_apart_from_the_text_and_is_counted(models: FakeModels):
    asked = await ask("house/fake", models.credential, "think=2 tokens=1")
    assert asked.thoughts == ["hm ", "hm "]
    assert asked.text == "the "
    assert asked.response.usage.details["reasoning_tokens"] == 2


async def test_parallel_tool_calls_come_with_their_arguments(models: FakeModels):
    asked = await ask("house/fake", models.credential, 'call=weather calls=2 args={"city":"Oslo"}', tools=[WEATHER])
    assert [call.tool_name for call in asked.response.tool_calls] == ["weather", "weather"]
    assert asked.response.tool_calls[1].args_as_dict() == {"city": "Oslo"}
    assert asked.response.finish_reason == "tool_call"
    assert (await models.seen())["last"]["body"]["tools"][0]["function"]["name"] == "weather"


async def test_a_history_is_sent_with_all_calls_of_a_step_in_one_message(models: FakeModels):
    history = [
        said("Where is it warm?"),
        ModelResponse(
            [
                ThinkingPart("hm"),
                TextPart("I look."),
                ToolCallPart("weather", {"city": "Rome"}, "c1"),
                ToolCallPart("weather", '{"city":"Oslo"}', "c2"),
            ]
        ),
        ModelRequest(
            parts=[
                ToolReturnPart("weather", ["a chart", BinaryContent(b"png", media_type="image/png")], "c1"),
                ToolReturnPart("weather", {"degrees": 3}, "c2"),
            ]
        ),
    ]
    await ask("house/fake", models.credential, history)
    sent = (await models.seen())["last"]["body"]["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "tool", "user"]
    assert sent[1]["content"] == "I look."
    assert [call["function"]["arguments"] for call in sent[1]["tool_calls"]] == ['{"city":"Rome"}', '{"city":"Oslo"}']
    assert sent[3]["content"] == '{"degrees":3}'
    assert sent[4]["content"][1]["image_url"]["url"] == "data:image/png;base64,cG5n"


async def test_pictures_sounds_and_papers_are_sent_inline(models: FakeModels):
    content = [
        "look",
        BinaryContent(b"png", media_type="image/png"),
        BinaryContent(b"wav", media_type="audio/wav"),
        BinaryContent(b"pdf", media_type="application/pdf"),
        BinaryContent(b"a,b", media_type="text/csv"),
    ]
    await ask("house/fake", models.credential, [ModelRequest(parts=[UserPromptPart(content)])])
    sent = (await models.seen())["last"]["body"]["messages"][0]["content"]
    assert [part["type"] for part in sent] == ["text", "image_url", "input_audio", "file", "text"]


@pytest.mark.parametrize("lacking", ["usage=0", "done=0", "finish=0", "usage=0 done=0"])
async def test_an_endpoint_may_leave_out_usage_or_one_of_the_end_marks(models: FakeModels, lacking: str):
    asked = await ask("house/fake", models.credential, f"tokens=2 {lacking}")
    assert asked.text == "the quick "
    assert asked.response.finish_reason == "stop"


REFUSALS = [
    ("fail=401", ModelKeyRefused, "model_key_refused", False),
    ("fail=403", ModelKeyRefused, "model_key_refused", False),
    ("fail=404", ModelNotFound, "model_not_found", False),
    ("fail=429", ModelRateLimited, "model_rate_limited", True),
    ("fail=400", ModelRequestRefused, "model_request_refused", False),
    ("fail=422", ModelRequestRefused, "model_request_refused", False),
    ("fail=500", ModelUnavailable, "model_unavailable", True),
    ("fail=503", ModelUnavailable, "model_unavailable", True),
    ("cut=3", ModelStreamBroken, "model_stream_broken", True),
    ("break=3", ModelStreamBroken, "model_stream_broken", True),
    ("finish=0 done=0", ModelStreamBroken, "model_stream_broken", True),
    ("empty=1", ModelAnswerEmpty, "model_answer_empty", False),
]


@pytest.mark.parametrize(("prompt", "kind", "code", "retryable"), REFUSALS)
async def test_each_failure_is_an_error_of_its_own(
    models: FakeModels, prompt: str, kind: type[ModelRequestFailed], code: str, retryable: bool
):
    with pytest.raises(ModelRequestFailed) as failed:
        await ask("house/fake", models.credential, prompt)
    assert type(failed.value) is kind
    assert (failed.value.code, failed.value.status, failed.value.retryable) == (code, 502, retryable)
    assert "house" in failed.value.sentence
    assert "fake" in failed.value.sentence
    assert "{" not in failed.value.sentence


async def test_a_refused_request_says_why(models: FakeModels):
    with pytest.raises(ModelRequestRefused, match="the fake model says 400"):
        await ask("house/fake", models.credential, "fail=400")


async def test_text_that_came_before_a_stream_broke_has_been_handed_over(models: FakeModels):
    texts = []
    async with stream("house/fake", models.credential, [said("cut=3")]) as answer:
        with pytest.raises(ModelStreamBroken):
            await collect(answer, texts)
    assert "".join(texts) == "the quick brown "
    assert answer.response.text == "the quick brown "


async def test_an_endpoint_that_is_not_there_is_unavailable(private_addresses_allowed: None):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ModelUnavailable):
        await ask("house/fake", Credential(KEY, f"http://127.0.0.1:{port}/v1"), "hello")


@pytest.mark.parametrize("limit", [{"settings": {"timeout": 0.05}}, {"begins_within_seconds": 0.05}])
async def test_a_model_that_says_nothing_in_time_is_too_slow(models: FakeModels, limit: dict[str, Any]):
    with pytest.raises(ModelTimedOut):
        await ask("house/fake", models.credential, "first_ms=60000", **limit)


async def test_an_answer_that_has_begun_in_time_may_take_its_time(models: FakeModels):
    asked = await ask("house/fake", models.credential, "tokens=10 delay_ms=20", begins_within_seconds=0.1)
    assert len("".join(asked.texts).split()) == 10


@pytest.mark.parametrize(("told", "least", "most"), [("wait=7", 7, 7), ("wait=date", 0, 1), ("wait=soon", None, None)])
@pytest.mark.parametrize("status", [429, 503])
async def test_how_long_a_provider_asks_to_wait_is_carried_on(
    models: FakeModels, status: int, told: str, least: float | None, most: float | None
):
    with pytest.raises(ModelRequestFailed) as failed:
        await ask("house/fake", models.credential, f"fail={status} {told}")
    seconds = failed.value.wait_seconds
    assert seconds is least if least is None else least <= seconds <= most
    assert not failed.value.begun


async def test_a_connection_cut_before_the_first_token_is_no_broken_answer(models: FakeModels):
    with pytest.raises(ModelUnavailable):
        await ask("house/fake", models.credential, "cut=0")


@pytest.mark.parametrize("end", ["", "done=0", "call=weather"])
async def test_one_connection_serves_one_answer_after_the_other(models: FakeModels, end: str):
    await ask("house/fake", models.credential, f"hello {end}")
    before = await models.seen()
    for _ in range(3):
        await ask("house/fake", models.credential, f"hello {end}")
    after = await models.seen()
    assert after["requests"] == before["requests"] + 3
    assert after["connections"] == before["connections"]


async def test_leaving_early_stops_the_model(models: FakeModels):
    async with stream("house/fake", models.credential, [said("tokens=1000 delay_ms=1")]) as answer:
        async for _ in answer:
            break
    assert (await models.seen())["requests"] == 1


@pytest.mark.parametrize(
    "base_url", ["not a url", "ftp://127.0.0.1/v1", "http://", "http://127.0.0.1:99999/v1", "http://[::1/v1"]
)
async def test_a_base_url_that_is_none_fails_in_our_words(private_addresses_allowed: None, base_url: str):
    with pytest.raises(ModelRequestFailed):
        await ask("house/fake", Credential(KEY, base_url), "hello")


async def test_keys_and_base_urls_that_are_missing_are_named():
    with pytest.raises(ModelKeyMissing, match="openai"):
        await ask("gpt-6-sol", None, "hello")
    with pytest.raises(BaseUrlRequired, match="house"):
        await ask("house/fake", Credential(KEY), "hello")


ODD_STREAMS = {
    "one line without its end": b'data: {"choices":[{"delta":{"content":"ok"},"finish_reason":"stop"}]}',
    "no space, comments, line separators in the text": (
        ': hello\r\n\r\ndata:{"choices":[{"delta":{"content":"a\u2028b"},"finish_reason":"stop"}]}\r\n\r\n'.encode()
    ),
    "nulls everywhere": (
        b'data: {"choices":[{"delta":{"content":"ok","tool_calls":null},"finish_reason":null}],"usage":null}\n\n'
        b'data: {"choices":[{"delta":null,"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    ),
    "calls without an index": (
        b'data: {"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"x","arguments":"{}"}},'
        b'{"id":"b","function":{"name":"y","arguments":{"n":1}}}]},"finish_reason":"stop"}]}\n\n'
    ),
}
BAD_STREAMS = {
    "a web page": b"<html>hello</html>",
    "no JSON": b"data: hello\n\n",
    "another shape": b'data: {"choices":[7]}\n\n',
    "a list": b"data: [1]\n\n",
}


async def _ask_one_that(handle: Handler):
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: Connection(handle), "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        return await ask("house/fake", Credential(KEY, address), "hello")


async def _ask_one_that_answers(body: bytes):
    async def handle(request: Request, reply: Reply) -> None:
        reply.begin_stream()
        await reply.send(body)
        reply.end_stream()

    return await _ask_one_that(handle)


@pytest.mark.parametrize("name", ODD_STREAMS)
async def test_odd_streams_are_understood(private_addresses_allowed: None, name: str):
    asked = await _ask_one_that_answers(ODD_STREAMS[name])
    assert asked.text or [call.tool_name for call in asked.response.tool_calls] == ["x", "y"]


@pytest.mark.parametrize("name", BAD_STREAMS)
async def test_what_is_no_stream_is_a_broken_one(private_addresses_allowed: None, name: str):
    with pytest.raises(ModelStreamBroken):
        await _ask_one_that_answers(BAD_STREAMS[name])


async def test_the_key_is_in_no_message_and_no_log(private_addresses_allowed: None, caplog: pytest.LogCaptureFixture):
    async def repeat_the_key(request: Request, reply: Reply) -> None:
        reply.json({"error": {"message": f"what is {request.headers['authorization']}?"}}, 400)

    caplog.set_level(logging.DEBUG)
    with pytest.raises(ModelRequestRefused, match="what is Bearer …") as refused:
        await _ask_one_that(repeat_the_key)
    told = "".join(traceback.format_exception(refused.value)) + caplog.text + repr(Credential(KEY))
    assert KEY not in told


async def test_a_long_refusal_is_cut(private_addresses_allowed: None):
    async def complain(request: Request, reply: Reply) -> None:
        reply.json({"error": {"message": "no " * 1000}}, 422)

    with pytest.raises(ModelRequestRefused) as refused:
        await _ask_one_that(complain)
    assert len(str(refused.value.facts["reason"])) == 500


async def test_a_redirect_is_not_followed(models: FakeModels):
    async def redirect(request: Request, reply: Reply) -> None:
        reply.json({}, 307)

    with pytest.raises(ModelRequestRefused, match="307"):
        await _ask_one_that(redirect)
