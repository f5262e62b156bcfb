"""Recalling: what is asked for is found by meaning and by words, among the smith's own things alone."""

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis, strategies as st

from ingram_app.core.database import transaction
from ingram_app.domain import memories, recalling, retrievals
from ingram_app.domain.access import TENANT, Actor, Caller
from ingram_app.domain.memories import Fact
from tests.world import Person, Tenant, World, error, ok, until

FACTS = [
    "Drinks green tea every morning.",
    "Works as a nurse at the children's hospital.",
    "Her daughter Mila starts school in September.",
    "Is allergic to peanuts.",
    "Plays the cello in an amateur orchestra.",
]


@pytest.fixture(scope="module")
async def ada(project: Tenant) -> Person:
    """One smith with five facts and two turns."""
    person = await project.person(external_id="ada")
    for fact in FACTS:
        ok(await person.api.post(f"/v1/smiths/{person.id}/memories", json={"content": fact}))
    await project.run(person.id, "My flight to Lisbon leaves on Friday at nine.", thread_id="travel")
    await project.run(person.id, "The invoice number is INV-20931.", thread_id="money")
    return person


async def search(person: Person, query: str, **fields: object) -> list[str]:
    asked = {"query": query, **fields}
    found = ok(await person.api.post(f"/v1/smiths/{person.id}/memories/search", json=asked))
    return [one["content"] for one in found["data"]]


@pytest.mark.parametrize(
    ("query", "fact"),
    [
        ("what does she have for breakfast to drink", FACTS[0]),
        ("profession", FACTS[1]),
        ("children", FACTS[2]),
        ("foods to avoid", FACTS[3]),
        ("Welches Instrument spielt sie?", FACTS[4]),
    ],
)
async def test_a_fact_is_found_by_what_it_means(ada: Person, query: str, fact: str) -> None:
    assert fact in (await search(ada, query))[:2]


async def test_a_fact_is_found_by_a_word_of_it(ada: Person) -> None:
    assert (await search(ada, "Mila"))[0] == FACTS[2]


async def test_a_word_that_stands_everywhere_tells_nothing(project: Tenant) -> None:
    person = await project.person()
    for number, thing in enumerate(("sea", "hills", "old mill", "market", "new bridge", "lighthouse")):
        fact = {"content": f"What she likes is the {thing}, the {'very ' * number}one of the village."}
        ok(await person.api.post(f"/v1/smiths/{person.id}/memories", json=fact))
    ok(await person.api.post(f"/v1/smiths/{person.id}/memories", json={"content": "Plays cello."}))
    assert (await search(person, "What is the instrument she has?"))[0] == "Plays cello."


async def test_no_more_is_found_than_is_asked_for_and_the_best_has_the_highest_score(ada: Person) -> None:
    found = ok(await ada.api.post(f"/v1/smiths/{ada.id}/memories/search", json={"query": "tea", "limit": 3}))["data"]
    scores = [one["score"] for one in found]
    assert len(found) == 3
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)


async def test_past_turns_are_recalled_with_their_thread(ada: Person) -> None:
    path = f"/v1/smiths/{ada.id}/memory/recall"
    found = ok(await ada.api.post(path, json={"query": "when does my plane go"}))["data"]
    assert found[0]["thread_id"] == "travel"
    assert found[0]["content"].startswith("User: My flight to Lisbon")
    assert ok(await ada.api.post(path, json={"query": "INV-20931"}))["data"][0]["thread_id"] == "money"


async def test_a_turn_that_came_later_is_recalled_too(project: Tenant, ada: Person) -> None:
    await project.run(ada.id, "The plumber comes on Tuesday.", thread_id="home")
    found = ok(await ada.api.post(f"/v1/smiths/{ada.id}/memory/recall", json={"query": "plumber"}))["data"]
    assert found[0]["thread_id"] == "home"


async def test_what_is_history_is_not_found(project: Tenant) -> None:
    person = await project.person()
    path = f"/v1/smiths/{person.id}/memories"
    old = ok(await person.api.post(path, json={"content": "Lives in Rome."}))
    ok(await person.api.post(path, json={"content": "Lives in Oslo.", "supersedes": old["id"]}))
    assert await search(person, "where does he live, Rome?") == ["Lives in Oslo."]


async def test_a_fact_that_changed_is_found_by_what_it_says_now(project: Tenant) -> None:
    person = await project.person()
    path = f"/v1/smiths/{person.id}/memories"
    fact = ok(await person.api.post(path, json={"content": "Owns a sailing boat."}))
    ok(await person.api.post(path, json={"content": "Collects stamps."}))
    assert (await search(person, "hobbies on the water"))[0] == "Owns a sailing boat."
    ok(await person.api.patch(f"{path}/{fact['id']}", json={"content": "Bakes sourdough bread."}))
    assert (await search(person, "what he makes in the oven"))[0] == "Bakes sourdough bread."


async def test_a_smith_that_holds_nothing_recalls_nothing(project: Tenant) -> None:
    assert await search(await project.person(), "anything") == []


@pytest.mark.parametrize("body", [{"query": ""}, {"query": "  "}, {"query": "x" * 4001}, {"query": "x", "limit": 0}])
async def test_a_question_that_is_none_is_refused(ada: Person, body: dict[str, object]) -> None:
    error(await ada.api.post(f"/v1/smiths/{ada.id}/memories/search", json=body), 422, "invalid_query")


@pytest.mark.parametrize("query", ["'; drop table memories; --", "a & | !( <-> b:*", "\\", "\u0000x", "%_%", "🫖"])
async def test_a_question_is_never_a_statement(ada: Person, query: str) -> None:
    answer = await ada.api.post(f"/v1/smiths/{ada.id}/memories/search", json={"query": query})
    assert answer.status_code in (200, 400)


QUESTIONS = st.one_of(
    st.sampled_from(["Likes tea number 3.", "tea", "4 Main Street", "number", "Likes tea number 1. Lives at 2"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60),
)


@hypothesis(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=QUESTIONS, who=st.integers(0, 11))
async def test_no_question_finds_what_is_another_s(crowd: list[Caller], query: str, who: int) -> None:
    """A dozen smiths hold nearly the same: whatever is asked, by a smith or for it, only its own is found."""
    if not query.strip():
        return
    mine = {f"Likes tea number {who}.", f"Lives at {who} Main Street."}
    project = Caller(Actor("tenant", "t"), frozenset({TENANT}), project_id=crowd[who].project_id)
    for caller in (crowd[who], project):
        assert {one.content for one in await recalling.facts(caller, crowd[who].smith_id, query, 50)} <= mine
        assert await recalling.turns(caller, crowd[who].smith_id, query, 50) == []


async def test_what_is_told_in_a_turn_is_the_smith_s_own(project: Tenant, crowd: list[Caller]) -> None:
    smith_id = crowd[5].smith_id
    run = await project.run(smith_id, "Likes tea number 3. Lives at 4 Main Street.")
    async with transaction(crowd[5].tenancy) as session:
        found = await retrievals.of_run(session, project.id, run["id"])
    assert found is not None
    assert {fact["content"] for fact in found.facts} == {"Likes tea number 5.", "Lives at 5 Main Street."}


async def test_forgetting_one_smith_takes_its_rows_and_no_other(
    world: World, project: Tenant, crowd: list[Caller]
) -> None:
    gone = (await project.person()).id
    for content in ("Likes tea number 5.", "Lives at 5 Main Street."):
        ok(await project.api.post(f"/v1/smiths/{gone}/memories", json={"content": content}))
    ok(await project.api.put(f"/v1/smiths/{gone}/memory", json={"content": "Likes tea."}))
    await project.run(gone, "tea? [[remember Sails.]]")
    await until(lambda: is_quiet(world))
    before = held(world)
    assert {table for table, smith in before if smith == gone} >= {"memories", "vectors", "retrievals", "memory_ops"}
    ok(await project.api.post(f"/v1/smiths/{gone}/erase"))
    assert held(world) == {one: count for one, count in before.items() if one[1] != gone}


def held(world: World) -> dict[tuple[str, str], int]:
    """Return how many rows each smith has in each table of memory."""
    tables = ("memories", "memory_documents", "vectors", "recollections", "retrievals", "memory_ops")
    counted = {table: world.ask(f"select smith_id, count(*) from {table} group by smith_id") for table in tables}
    return {(table, smith): count for table, rows in counted.items() for smith, count in rows}


async def is_quiet(world: World) -> bool:
    return world.ask("select count(*) from memory_ops where due_at is not null") == [(0,)]


@pytest.fixture(scope="module")
async def crowd(project: Tenant) -> list[Caller]:
    callers = []
    for number in range(12):
        smith = await project.smith()
        scopes = frozenset({"memories:read", "memories:write"})
        caller = Caller(Actor("smith", smith["id"]), scopes, project_id=project.id, smith_id=smith["id"])
        async with transaction(caller.tenancy) as session:
            for content in (f"Likes tea number {number}.", f"Lives at {number} Main Street."):
                await memories.write(session, caller, smith["id"], Fact(content))
        callers.append(caller)
    return callers
