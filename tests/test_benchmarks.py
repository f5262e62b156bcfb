"""The benchmarks of memory run, in their short form, and their dialogues ask what they themselves answer."""

import psutil
import pytest

from benchmarks.memory import retrieval, scale
from benchmarks.memory.dialogues import KINDS, Dialogue, chaff, dialogues
from benchmarks.memory.extraction import is_answered
from ingram_app.domain.access import TENANT, Actor, Caller
from tests.world import Tenant


@pytest.fixture(scope="module")
def caller(project: Tenant) -> Caller:
    return Caller(Actor("tenant", project.id), frozenset({TENANT}), project_id=project.id)


@pytest.mark.parametrize("person", dialogues(), ids=lambda person: person.who)
def test_a_dialogue_answers_its_own_questions(person: Dialogue) -> None:
    facts = {fact.name: fact.words for fact in person.facts}
    history = {fact.replaces for fact in person.facts if fact.replaces}
    assert history <= set(facts)
    assert [turn.day for turn in person.turns] == sorted(turn.day for turn in person.turns)
    for question in person.questions:
        assert question.kind in KINDS
        if question.fact:
            assert question.fact in set(facts) - history, question
            assert question.answer.casefold() in facts[question.fact].casefold(), question
        else:
            assert question.kind == "absence"
            assert not any(question.answer.casefold() in fact.casefold() for fact in facts.values()), question


def test_what_is_stale_or_invented_is_no_answer() -> None:
    person = next(one for one in dialogues() if one.who == "A widower who cooks")
    history = {fact.replaces for fact in person.facts}
    held = [fact.words for fact in person.facts if fact.name not in history]
    stale = [fact.words for fact in person.facts if fact.name in history]
    assert all(is_answered(question, held) for question in person.questions)
    wrong = [question.kind for question in person.questions if not is_answered(question, [*held, *stale, "Ma wnuka."])]
    assert wrong == ["contradiction", "absence"]


async def test_what_a_smith_was_told_is_found_beside_what_does_not_matter(caller: Caller) -> None:
    tallies = await retrieval.measure(caller, dialogues()[:3], chaff()[:25])
    found = sum(tallies[kind].found for kind in KINDS)
    asked = sum(tallies[kind].asked for kind in KINDS)
    assert tallies["absence"].found == tallies["absence"].asked > 0
    assert found / asked >= 0.85


async def test_a_search_beside_many_facts_of_others_is_measured(caller: Caller, fresh_database: str) -> None:
    alone, beside = await scale.figures(fresh_database, caller, 500, 5, psutil.Process())
    assert alone.keys() == beside.keys()
    assert min(*alone.values(), *beside.values()) >= 0
