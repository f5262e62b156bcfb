"""Recalling: what is asked for is found by meaning and by words, among the smith's own things alone."""

import pytest
from hypothesis import HealthCheck, given, settings as hypothesis, strategies as st

from ingram_app.core.database import transaction
from ingram_app.domain import memories, recalling
from ingram_app.domain.access import Actor, Caller
from ingram_app.domain.memories import Fact
from tests.world import Person, Tenant, error, ok

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


@hypothesis(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60))
async def test_no_question_finds_what_is_another_s(crowd: list[Caller], query: str) -> None:
    """A dozen smiths hold nearly the same: whatever is asked, each finds only its own."""
    if not query.strip():
        return
    for number, caller in enumerate(crowd[:3]):
        found = await recalling.facts(caller, caller.smith_id, query, 50)
        assert {one.content for one in found} <= {f"Likes tea number {number}.", f"Lives at {number} Main Street."}


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
