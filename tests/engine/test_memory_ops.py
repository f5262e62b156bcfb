"""Memory operations: each turn is learnt from once, whatever dies, and no reply waits for it."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from ingram_app.core.database import dispatching
from ingram_app.core.settings import settings
from ingram_app.domain import memories, memory, memory_ops, prompts, traces
from ingram_app.domain.memories import Memory
from ingram_app.domain.memory import MemoryDocument, MemoryDocumentChanged
from ingram_app.domain.memory_ops import MemoryOp, OpKind, OpLost, OpState
from ingram_app.domain.runs import Run
from ingram_app.domain.spans import SpanKind
from ingram_app.engine import learning, remembering
from tests.engine.conftest import World, engine, until
from tests.fakes.model_server import running_model_server

working = pytest.mark.usefixtures("working")


async def facts(world: World, smith_id: str, **how: Any) -> list[Memory]:
    async with world.transaction() as session:
        return (await memories.browse(session, world.caller, smith_id, **how)).data


async def ops(world: World, run: Run) -> list[MemoryOp]:
    async with world.transaction() as session:
        return await memory_ops.of_run(session, run.project_id, run.id)


async def learnt(world: World, run: Run) -> MemoryOp:
    """Return how a run was learnt from, once it is over."""

    async def is_over() -> bool:
        return any(op.kind is OpKind.learn and op.due_at is None for op in await ops(world, run))

    await until(is_over)
    [op] = [op for op in await ops(world, run) if op.kind is OpKind.learn]
    return op


async def due(world: World, run: Run | None = None) -> MemoryOp:
    """Return what is to be learnt from a run, with nobody here to do it."""
    if run is None:
        async with engine():
            run = await world.says(await world.smith(), "x")
    add = (
        "insert into memory_ops (id, project_id, smith_id, run_id, kind, state, due_at, attempts, input_tokens,"
        " output_tokens, cost_micros, outcome, created_at) select 'mop_' || id, project_id, smith_id, id, 'learn',"
        " 'waiting', clock_timestamp(), 0, 0, 0, 0, '{}', clock_timestamp() from runs where id = :id"
    )
    await world.sql(add, id=run.id)
    [op] = await ops(world, run)
    return op


@working
async def test_what_a_person_says_is_a_fact_afterwards_and_before_the_smith_in_the_next_turn(world: World) -> None:
    smith_id = await world.smith("test/tools", timezone="Europe/Oslo")
    run = await world.says(smith_id, 'Hi [[remember {"content": "Likes tea.", "category": "taste"}]]')
    op = await learnt(world, run)
    [fact] = await facts(world, smith_id)
    assert (fact.content, fact.category, fact.source_run_id) == ("Likes tea.", "taste", run.id)
    assert (op.state, op.outcome) == (OpState.done, {"written": [fact.id], "replaced": []})
    assert (op.model, op.agent_id, op.agent_version) == ("test/tools", run.agent_id, run.agent_version)
    assert op.input_tokens > 50
    kept = "select sum(runs), sum(input_tokens), count(*) from model_calls where run_id = :id and smith_id = :smith"
    [ledger] = (await world.sql(kept, id=run.id, smith=smith_id)).all()
    assert ledger == (1, run.input_tokens + op.input_tokens, 2)
    async with world.transaction() as session:
        found = (await traces.find(session, world.caller, run.id)).spans
    [span] = [span for span in found if span.kind is SpanKind.memory_op]
    assert (span.input_tokens, span.attributes["ingram.memory.outcome"]) == (op.input_tokens, op.outcome)
    after = await world.says(smith_id, "hello again")
    async with world.transaction() as session:
        told = (await prompts.of_run(session, world.caller, after.id)).notes
    assert "Likes tea." in (told or "")


@working
async def test_a_contradiction_replaces_and_a_repeat_changes_nothing(world: World) -> None:
    smith_id = await world.smith()
    await learnt(world, await world.says(smith_id, "[[remember Lives in Rome.]]"))
    await learnt(world, await world.says(smith_id, "[[remember lives in  Rome]]"))
    [rome] = await facts(world, smith_id)
    said = '[[remember {"content": "Lives in Oslo.", "replaces": 1}]] [[remember {"content": "Sails.", "replaces": 7}]]'
    op = await learnt(world, await world.says(smith_id, f"Rome no more {said}"))
    assert op.outcome["replaced"] == [rome.id]
    assert {fact.content for fact in await facts(world, smith_id)} == {"Lives in Oslo.", "Sails."}
    assert len(await facts(world, smith_id, superseded=True)) == 3


@working
async def test_nothing_is_asked_after_turns_that_are_not_to_be_remembered(world: World) -> None:
    off = await world.says(await world.smith(auto_memory=False), "[[remember x]]")
    plain = await world.says(await world.smith(), "hello")
    by_assistant = await world.smith()
    quoted = await world.start_with(
        by_assistant, [{"role": "assistant", "content": "[[remember x]]"}, *said("hi")], "t"
    )
    await world.frames(quoted)
    for run in (off, plain, quoted):
        assert await ops(world, run) == []


def said(words: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": words}]


@pytest.mark.usefixtures("private_addresses_allowed")
async def test_the_model_is_given_the_person_s_words_the_date_and_known_facts_by_number_and_no_more(
    database: None, private_addresses_allowed: None, world: World
) -> None:
    async with running_model_server() as address, engine():
        await world.key("openai", f"{address}/v1")
        smith_id = await world.smith(
            "gpt-5.4-mini", auto_memory=True, timezone="Europe/Oslo", instructions="Be a pirate."
        )
        args = json.dumps({"facts": [{"content": "Likes-tea."}]}, separators=(",", ":"))
        first = await world.says(smith_id, f"call=save_facts args={args}")
        op = await learnt(world, first)
        assert (op.cost_micros > 0, len(await facts(world, smith_id))) == (True, 1)
        from_server = await asked(address)
        heard = json.dumps(from_server["messages"])
        assert "(Europe/Oslo)" in heard
        assert "pirate" not in heard  # nor anything else of the conversation
        assert "There is no tool" not in heard
        assert [tool["function"]["name"] for tool in from_server["tools"]] == ["save_facts"]
        await learnt(world, await world.says(smith_id, "tea"))
        heard = json.dumps(await asked(address))
        assert "1. Likes-tea." in heard
        assert "mem_" not in heard


async def asked(address: str) -> dict[str, Any]:
    """Return the body of the last request for an answer."""
    async with httpx.AsyncClient() as client:
        return dict((await client.get(f"{address}/_seen")).json()["last"]["body"])


async def test_what_is_lost_on_the_way_is_done_by_another_once(world: World) -> None:
    op = await due(world)
    smith_id = op.smith_id
    claims = await asyncio.gather(*(claim(world, op) for _ in range(4)))
    [lost] = [one for one in claims if one]
    await world.sql("update memory_ops set due_at = clock_timestamp() where id = :id", id=op.id)
    again = await claim(world, op)
    assert again is not None
    caller = world.caller
    noted = [learning.Noted(memories.Fact("Likes tea."), None)]
    with pytest.raises(OpLost):
        await learning.keep(lost, caller, noted, {})
    assert await facts(world, smith_id) == []
    await learning.keep(again, caller, noted, {})
    with pytest.raises(OpLost):
        await learning.keep(again, caller, noted, {})
    assert [fact.content for fact in await facts(world, smith_id)] == ["Likes tea."]


async def claim(world: World, op: MemoryOp) -> MemoryOp | None:
    async with world.transaction() as session:
        return await memory_ops.claim(session, op.project_id, op.id)


async def test_what_fails_is_tried_again_later_and_not_for_ever(world: World) -> None:
    op = await due(world)
    for attempt in range(1, 6):
        await world.sql("update memory_ops set due_at = clock_timestamp() where id = :id", id=op.id)
        taken = await claim(world, op)
        assert taken is not None
        async with world.transaction() as session:
            await memory_ops.fail(session, taken, "model_unavailable", again=True)
        [row] = (
            await world.sql("select due_at > clock_timestamp(), state from memory_ops where id = :id", id=op.id)
        ).all()
        assert row == ((True, "working") if attempt < 5 else (None, "failed"))


async def test_a_model_that_refuses_is_not_asked_again(world: World) -> None:
    op = await due(world)
    await world.sql("update runs set model = 'nobody/knows' where id = :id", id=op.run_id)
    assert await remembering.do(op.project_id, op.id)
    [row] = (await world.sql("select state, error from memory_ops where id = :id", id=op.id)).all()
    assert row == ("failed", "model_key_missing")


async def test_projects_take_turns_and_nobody_sees_whose_it_is(world: World, other: World) -> None:
    async with engine():
        ran = [await world.says(await world.smith(), "x") for _ in range(4)]
        last = await other.says(await other.smith(), "x")
    mine = [await due(world, run) for run in ran]
    theirs = await due(other, last)
    async with dispatching() as session:
        found = await memory_ops.next_up(session, 2)
    assert {project for project, _ in found} == {world.caller.project_id, other.caller.project_id}
    for op in (*mine, theirs):
        of = world if op in mine else other
        await of.sql("delete from memory_ops where id = :id", id=op.id)


async def test_a_turn_of_a_smith_that_was_claimed_is_learnt_by_the_person_s_own(world: World) -> None:
    op = await due(world)
    taken = await claim(world, op)
    assert taken is not None
    heir = await world.smith()
    await world.sql("update memory_ops set smith_id = :heir where id = :id", heir=heir, id=op.id)
    with pytest.raises(OpLost):
        await learning.keep(taken, world.caller, [learning.Noted(memories.Fact("x"), None)], {})
    assert await facts(world, op.smith_id) == []
    assert op.kind is OpKind.learn


@working
async def test_a_quiet_smith_folds_its_facts_into_its_document_once(world: World, quiet: float) -> None:
    smith_id = await world.smith(memory_consolidation=True)
    await learnt(world, await world.says(smith_id, "[[remember Likes tea.]]", thread_id="t"))
    run = await world.says(smith_id, "bye", thread_id="t")
    [fold] = [op for op in await ops(world, run) if op.kind is OpKind.fold]
    assert fold.due_at is not None
    assert (fold.due_at - run.finished_at).total_seconds() > quiet - 1  # the first turn's was put off to here
    for expected in (1, 1):
        await world.sql("update memory_ops set due_at = clock_timestamp() where kind = 'fold' and due_at is not null")
        op = await folded(world, smith_id)
        [document] = await documents(world, smith_id)
        assert (document.version, "Likes tea." in document.content) == (expected, True)
        assert document.actor == {"kind": "smith", "id": smith_id, "token_id": None, "email": None}
        await world.says(smith_id, "nothing new", thread_id="t")
    assert op.model is None  # the second had nothing to fold, and asked nobody


async def folded(world: World, smith_id: str) -> MemoryOp:
    """Return the last consolidation of a smith once none is due."""
    async with world.transaction() as session:
        newest = select(MemoryOp).where(MemoryOp.smith_id == smith_id, MemoryOp.kind == OpKind.fold)
        newest = newest.order_by(col(MemoryOp.created_at).desc())

        async def is_over() -> bool:
            async with world.transaction() as fresh:
                return all(op.due_at is None for op in (await fresh.exec(newest)).all())

        await until(is_over)
        found: MemoryOp | None = (await session.exec(newest)).first()
    assert found is not None
    assert found.state is OpState.done, found.error
    return found


async def documents(world: World, smith_id: str) -> list[MemoryDocument]:
    async with world.transaction() as session:
        return await memory.revisions(session, world.caller, smith_id)


async def test_a_document_that_somebody_wrote_meanwhile_is_not_overwritten(world: World) -> None:
    smith_id = await world.smith()
    async with world.transaction() as session:
        await memory.write(session, world.caller, smith_id, "One.", over=0)
    with pytest.raises(MemoryDocumentChanged):
        async with world.transaction() as session:
            await memory.write(session, world.caller, smith_id, "Two.", over=0)


@pytest.fixture
def quiet() -> float:
    return settings().memory_quiet_seconds
