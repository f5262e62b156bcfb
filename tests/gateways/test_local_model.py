"""The embedded model says something. What it says is not to be tested: it is tiny."""

import asyncio

import pytest

from ingram_app.gateways.providers import ModelNotFound, stream
from tests.gateways.asking import ask, said

BRIEF = {"max_tokens": 8, "seed": 1}


async def test_two_questions_at_once_are_both_answered_in_pieces():
    answers = await asyncio.gather(
        *(ask("local/smollm2-135m", None, "Tell me about the sea.", settings=BRIEF) for _ in range(2))
    )
    for asked in answers:
        assert len(asked.texts) > 1
        assert asked.response.usage.input_tokens > 0
        assert 0 < asked.response.usage.output_tokens <= 8


async def test_the_loop_goes_on_while_it_thinks_and_leaving_stops_it():
    async with stream("local/smollm2-135m", None, [said("Count to a thousand.")]) as answer:
        async for _ in answer:
            break
    assert (await ask("local/smollm2-135m", None, "Hello!", settings=BRIEF)).text


async def test_a_conversation_longer_than_its_memory_is_answered_all_the_same():
    history = [said("word " * 100) for _ in range(40)]
    assert (await ask("local/smollm2-135m", None, [*history, said("Say hello.")], settings=BRIEF)).text


async def test_there_is_no_other_embedded_model():
    with pytest.raises(ModelNotFound):
        await ask("local/gpt-6", None, "hello")
