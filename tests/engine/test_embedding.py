"""Embedding: what is written down is found by what it means soon after, by whichever model the project has."""

from typing import Any

import pytest

from ingram_app.core.database import transaction
from ingram_app.domain import memories, memory_ops, recalling, vectors
from ingram_app.domain.memories import Fact
from ingram_app.domain.vectors import Progress
from tests.engine.conftest import World, engine, until
from tests.fakes.model_server import running_model_server


async def models(world: World, smith_id: str) -> list[tuple[str, int]]:
    query = "select model, count(*) from vectors where smith_id = :id group by model order by model"
    return [tuple(row) for row in (await world.sql(query, id=smith_id)).all()]


async def write(world: World, smith_id: str, *facts: str) -> None:
    async with transaction(world.caller.tenancy) as session:
        for fact in facts:
            await memories.write(session, world.caller, smith_id, Fact(fact))


async def progress(world: World) -> Progress:
    async with transaction(world.caller.tenancy) as session:
        return await vectors.progress(session, world.caller)


async def caught_up(world: World) -> bool:
    return not (await progress(world)).smiths_waiting


async def choose(world: World, model: str | None) -> None:
    async with transaction(world.caller.tenancy) as session:
        await memory_ops.prefer(session, world.caller, {"embedding_model": model})


@pytest.mark.usefixtures("private_addresses_allowed")
async def test_facts_are_embedded_and_embedded_anew_while_the_old_vectors_serve(world: World) -> None:
    ann, bob = await world.smith(), await world.smith()
    await write(world, ann, "Is allergic to peanuts.", "Plays the cello.")
    await write(world, bob, "Is allergic to nuts.")
    assert (await progress(world)).embedded == 0
    async with running_model_server() as address:
        await world.key("away", f"{address}/v1")
        async with engine():
            await until(lambda: caught_up(world))
        local = (await progress(world)).model
        assert (await models(world, ann), await models(world, bob)) == ([(local, 2)], [(local, 1)])
        await choose(world, "away/small")
        assert await progress(world) == Progress("away/small", texts=3, embedded=0, smiths_waiting=2, error=None)
        async with transaction(world.caller.tenancy) as session:
            assert await vectors.serving(session, world.caller.project_id, ann, "fact", "away/small") == local
        async with engine():
            await until(lambda: caught_up(world))
    assert await progress(world) == Progress("away/small", texts=3, embedded=3, smiths_waiting=0, error=None)
    assert (await models(world, ann), await models(world, bob)) == ([("away/small", 2)], [("away/small", 1)])


async def test_what_can_not_be_embedded_is_tried_again_and_found_by_its_words_until_then(world: World) -> None:
    smith_id = await world.smith()
    await world.key("away", "http://127.0.0.1:1/v1")
    await choose(world, "away/small")
    await write(world, smith_id, "Her name is Mila.")
    async with engine():
        await until(lambda: failed(world))
    assert [fact.content for fact in await recalling.facts(world.caller, smith_id, "Mila")] == ["Her name is Mila."]
    assert (await progress(world)).smiths_waiting == 1
    await write(world, smith_id, "She sails.")
    assert (await progress(world)).smiths_waiting == 1


async def failed(world: World) -> Any:
    return (await progress(world)).error


@pytest.mark.usefixtures("working")
async def test_turns_of_a_smith_that_recalls_are_embedded_too(world: World) -> None:
    smith_id, plain = await world.smith(enabled_hosted_tools=["recall"]), await world.smith()
    for smith in (smith_id, plain):
        await world.says(smith, "My flight leaves on Friday.")
    await until(lambda: has_vectors(world, smith_id))
    assert await models(world, plain) == []


async def has_vectors(world: World, smith_id: str) -> bool:
    return bool(await models(world, smith_id))
