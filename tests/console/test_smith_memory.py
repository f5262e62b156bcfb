"""The Memory tab, without a browser: the document, facts, what changed, and what would be recalled."""

import asyncio
import json
from typing import Any

import pytest

from ingram_app.console.memory_changes import MemoryChanges
from ingram_app.console.memory_document import MemoryDocumentTab
from ingram_app.console.memory_fact import MemoryFact
from ingram_app.console.memory_facts import MemoryFacts
from ingram_app.console.memory_tryout import MemoryTryout
from ingram_app.console.memory_writing import MemoryWriting
from ingram_app.console.smith_memory import LOADS, SmithMemory
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound, Refused
from ingram_app.domain import memories, memory
from ingram_app.domain.access import Role
from ingram_app.domain.memories import Fact
from tests.console.desk import Desk, State, call, sit
from tests.console.test_smith_tabs import ask
from tests.console.test_smiths import smith_of


async def fact_of(desk: Desk, smith_id: str, content: str, *, supersedes: str | None = None, **fields: Any) -> str:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        fact, _ = await memories.write(session, caller, smith_id, Fact(content, **fields), supersedes=supersedes)
    return fact.id


async def document_of(desk: Desk, smith_id: str, content: str) -> None:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        await memory.write(session, caller, smith_id, content)


async def shown(desk: Desk, smith_id: str, page: type[State], **query: str) -> State:
    tab = desk.at(page, f"/smiths/{smith_id}", tab="memory", **query)
    await call(tab, page.load)
    return tab


def writing(desk: Desk, smith_id: str, **query: str) -> MemoryWriting:
    return desk.at(MemoryWriting, f"/smiths/{smith_id}", tab="memory", **query)


def typed(content: str, **fields: str) -> dict[str, Any]:
    return {"content": content, "category": "fact", "subject": "", "confidence": "100", "expires_at": ""} | fields


async def contents(desk: Desk, smith_id: str, **query: str) -> list[str]:
    return [row.content for row in (await shown(desk, smith_id, MemoryFacts, **query)).rows]


async def test_the_document_is_written_told_in_bytes_and_put_back(desk: Desk) -> None:
    smith_id = await smith_of(desk)
    tab = await shown(desk, smith_id, MemoryDocumentTab, view="document")
    assert (tab.content, tab.version, tab.rows) == ("", 0, [])
    await call(tab, MemoryDocumentTab.save, {"content": "# Ada\nMag Käse."})
    await call(tab, MemoryDocumentTab.save, {"content": "# Ada\nLikes tea."})
    assert (tab.version, tab.size) == (2, "16")
    assert [(row.version, row.size, row.by) for row in tab.rows] == [
        (2, "16", desk.teammate.email), (1, "16", desk.teammate.email),
    ]  # fmt: skip
    await call(tab, MemoryDocumentTab.choose, 1)
    assert [(line.left, line.right) for line in tab.shown[0].lines][1] == ("Likes tea.", "Mag Käse.")
    assert "Version 1 again, as version 3" in str(await call(tab, MemoryDocumentTab.restore, {}))
    assert (tab.content, tab.version) == ("# Ada\nMag Käse.", 3)
    await call(tab, MemoryDocumentTab.save, {"content": "é" * 16_385})
    assert tab.error.startswith("The memory document has 32770 bytes")
    with pytest.raises(NotFound):
        await call(tab, MemoryDocumentTab.choose, 9)


async def test_a_later_writing_of_somebody_else_is_told_and_not_overwritten(desk: Desk) -> None:
    smith_id = await smith_of(desk)
    colleague = await sit(Role.member, beside=desk)
    tab = await shown(desk, smith_id, MemoryDocumentTab, view="document")
    await document_of(colleague, smith_id, "theirs")
    await call(tab, MemoryDocumentTab.save, {"content": "mine"})
    assert (tab.theirs, tab.theirs_version, tab.theirs_by) == ("theirs", 1, colleague.teammate.email)
    assert (tab.content, tab.filled) == ("", 1), "what was being written was taken away"
    await call(tab, MemoryDocumentTab.save, {"content": "mine"})
    assert tab.theirs_version == 1
    await document_of(colleague, smith_id, "theirs again")
    await call(tab, MemoryDocumentTab.save, {"content": "mine", "over": "on"})
    assert (tab.theirs, tab.theirs_version) == ("theirs again", 2)
    await call(tab, MemoryDocumentTab.save, {"content": "mine", "over": "on"})
    assert (tab.content, tab.version, tab.theirs_version) == ("mine", 3, 0)
    await document_of(colleague, smith_id, "theirs at last")
    await call(tab, MemoryDocumentTab.load)
    assert (tab.content, tab.theirs) == ("mine", "theirs at last")
    await call(tab, MemoryDocumentTab.take_theirs)
    assert (tab.content, tab.version, tab.theirs) == ("theirs at last", 4, "")


async def test_facts_are_listed_by_category_with_history_and_found(desk: Desk) -> None:
    smith_id = await smith_of(desk)
    old = await fact_of(desk, smith_id, "Lives in Rome.", category="home")
    await fact_of(desk, smith_id, "Lives in Oslo.", category="home", supersedes=old)
    await fact_of(desk, smith_id, "Drinks green tea.", category="taste", confidence=0.8, source_run_id="run_1")
    tab = await shown(desk, smith_id, MemoryFacts)
    assert [(row.content, row.confidence, row.run_id) for row in tab.rows] == [
        ("Drinks green tea.", "80 %", "run_1"), ("Lives in Oslo.", "100 %", ""),
    ]  # fmt: skip
    assert tab.categories == ["home", "taste"]
    assert await contents(desk, smith_id, category="home") == ["Lives in Oslo."]
    assert await contents(desk, smith_id, category="home", history="1") == ["Lives in Oslo.", "Lives in Rome."]
    assert (await contents(desk, smith_id, q="what does she have for breakfast"))[0] == "Drinks green tea."
    assert await contents(desk, smith_id, q="Oslo", category="taste") == ["Drinks green tea."]


async def test_a_long_list_has_pages(desk: Desk) -> None:
    smith_id = await smith_of(desk)
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        for number in range(53):
            await memories.write(session, caller, smith_id, Fact(f"Fact {number}"))
    tab = await shown(desk, smith_id, MemoryFacts)
    assert (len(tab.rows), tab.rows[0].content) == (50, "Fact 52")
    assert await contents(desk, smith_id, cursor=tab.older) == ["Fact 2", "Fact 1", "Fact 0"]


async def test_a_fact_is_added_changed_undone_replaced_and_deleted(desk: Desk) -> None:
    smith_id = await smith_of(desk)
    tab = writing(desk, smith_id)
    await call(tab, MemoryWriting.propose, "new", "")
    await call(tab, MemoryWriting.save, typed("Lives in Rome.", expires_at="2040-01-31T10:00", confidence="60"))
    [row] = (await shown(desk, smith_id, MemoryFacts)).rows
    assert (row.content, row.confidence, row.expires) == ("Lives in Rome.", "60 %", "2040-01-31T10:00:00+00:00")

    await call(tab, MemoryWriting.propose, "change", row.id)
    assert tab.said == typed("Lives in Rome.", expires_at="2040-01-31T10:00", confidence="60")
    await call(tab, MemoryWriting.save, tab.said | {"content": "Lives in Milan.", "expires_at": ""})
    one = await shown(desk, smith_id, MemoryFact, fact=row.id)
    assert (one.row.content, one.row.expires) == ("Lives in Milan.", "")
    assert [(edit.content, edit.by) for edit in one.edits] == [("Lives in Rome.", desk.teammate.email)]
    await call(tab, MemoryWriting.take_back, row.id)
    assert await contents(desk, smith_id) == ["Lives in Rome."]

    for city in ("Oslo", "Bergen"):
        [held] = (await shown(desk, smith_id, MemoryFacts)).rows
        await call(tab, MemoryWriting.propose, "replace", held.id)
        await call(tab, MemoryWriting.save, typed(f"Lives in {city}."))
    [held] = (await shown(desk, smith_id, MemoryFacts)).rows
    newest = await shown(desk, smith_id, MemoryFact, fact=held.id)
    assert [old.content for old in newest.replaced] == ["Lives in Oslo.", "Lives in Rome."]
    oldest = await shown(desk, smith_id, MemoryFact, fact=row.id)
    assert oldest.successor.content == "Lives in Oslo."

    tab = writing(desk, smith_id, fact=held.id)
    await call(tab, MemoryWriting.doubt, held.id)
    assert tab.loss == "“Lives in Bergen.” is forgotten for good. The 2 older facts that it replaced go with it."
    assert "tab=memory" in str(await call(tab, MemoryWriting.delete))
    assert await contents(desk, smith_id, history="1") == []
    assert (await shown(desk, smith_id, MemoryFact, fact=held.id)).gone == held.id


async def test_only_what_was_typed_is_changed(desk: Desk) -> None:
    smith_id = await smith_of(desk)
    fact_id = await fact_of(desk, smith_id, "Likes tea.", confidence=0.333)
    tab = writing(desk, smith_id)
    await call(tab, MemoryWriting.propose, "change", fact_id)
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        await memories.change(session, caller, smith_id, fact_id, {"content": "Likes coffee."})
    await call(tab, MemoryWriting.save, tab.said | {"category": "taste"})
    async with transaction(caller.tenancy) as session:
        fact = await memories.find(session, caller, smith_id, fact_id)
    assert (fact.content, fact.category, fact.confidence) == ("Likes coffee.", "taste", 0.333)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"content": " "}, "it has from 1 to 2000 characters"),
        ({"confidence": "101"}, "a whole number from 0 to 100"),
        ({"confidence": "²"}, "a whole number from 0 to 100"),
        ({"expires_at": "soon"}, "a date and a time, in UTC"),
    ],
)
async def test_what_can_not_be_a_fact_is_said_in_the_dialog(desk: Desk, fields: dict[str, str], said: str) -> None:
    smith_id = await smith_of(desk)
    tab = writing(desk, smith_id)
    await call(tab, MemoryWriting.propose, "new", "")
    assert await call(tab, MemoryWriting.save, typed("Likes tea.") | fields) is None
    assert said in tab.error
    assert await contents(desk, smith_id) == []


async def test_a_fact_that_was_replaced_meanwhile_is_not_changed(desk: Desk) -> None:
    smith_id = await smith_of(desk)
    old = await fact_of(desk, smith_id, "Lives in Rome.")
    tab = writing(desk, smith_id)
    await call(tab, MemoryWriting.propose, "change", old)
    await fact_of(desk, smith_id, "Lives in Oslo.", supersedes=old)
    await call(tab, MemoryWriting.save, typed("Lives in Milan."))
    assert "was superseded by" in tab.error


async def test_the_timeline_tells_what_was_done_and_by_whom(desk: Desk) -> None:
    smith_id = await smith_of(desk)
    old = await fact_of(desk, smith_id, "Lives in Rome.")
    await fact_of(desk, smith_id, "Lives in Oslo.", supersedes=old)
    await document_of(desk, smith_id, "# Ada")
    gone = await fact_of(desk, smith_id, "Snores.")
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        await memories.remove(session, caller, smith_id, gone)
    tab = await shown(desk, smith_id, MemoryChanges, view="changes")
    assert {row.by for row in tab.rows} == {desk.teammate.email}
    assert sorted((row.deed, row.document, row.fact) for row in tab.rows) == [
        ("Deleted", False, ""),
        ("Replaced by a newer one", False, "Lives in Rome."),
        ("Written down", False, ""),
        ("Written down", False, "Lives in Oslo."),
        ("Written down", False, "Lives in Rome."),
        ("Written down", True, ""),
    ]


async def test_what_would_be_recalled_is_shown_best_first(desk: Desk) -> None:
    smith_id = await smith_of(desk)
    for content in ("Is allergic to peanuts.", "Plays the cello.", "Drinks green tea."):
        await fact_of(desk, smith_id, content)
    tab = await shown(desk, smith_id, MemoryTryout, view="tryout")
    await call(tab, MemoryTryout.ask, {"query": "Which instrument does she play?"})
    assert tab.facts[0].content == "Plays the cello."
    assert [float(row.score) for row in tab.facts] == sorted((float(row.score) for row in tab.facts), reverse=True)
    await call(tab, MemoryTryout.ask, {"query": " "})
    assert tab.error.startswith("What is asked for has from 1 to 4000 characters")
    other = await smith_of(desk, external_id="user-2")
    tab.router = desk.at(MemoryTryout, f"/smiths/{other}", tab="memory").router
    await call(tab, MemoryTryout.load)
    assert (tab.facts, tab.query) == ([], "")


async def test_a_change_wakes_whoever_looks(desk: Desk) -> None:
    smith_id = await smith_of(desk)
    tab = desk.at(SmithMemory, f"/smiths/{smith_id}", tab="memory")
    told = SmithMemory.follow.fn(tab)
    first = [await anext(told) for _ in LOADS]
    waiting = asyncio.ensure_future(anext(told))
    await asyncio.sleep(0)
    await fact_of(desk, await smith_of(desk, external_id="user-2"), "Another's.")
    await fact_of(desk, smith_id, "Likes tea.")
    assert await asyncio.wait_for(waiting, 5) is first[0]
    await told.aclose()


async def test_a_viewer_reads_and_changes_nothing_and_a_stranger_reaches_none_of_it(desk: Desk, stranger: Desk) -> None:
    smith_id = await smith_of(desk)
    fact_id = await fact_of(desk, smith_id, "Likes tea.")
    await document_of(desk, smith_id, "# Ada")
    viewer = await sit(Role.viewer, beside=desk)
    assert await contents(viewer, smith_id) == ["Likes tea."]
    assert (await shown(viewer, smith_id, MemoryDocumentTab, view="document")).content == "# Ada"
    for who, refusal in ((stranger, NotFound), (viewer, Refused)):
        for state, handler, *given in (
            (MemoryDocumentTab, MemoryDocumentTab.save, {"content": "x"}),
            (MemoryDocumentTab, MemoryDocumentTab.restore, {}),
            (MemoryWriting, MemoryWriting.save, typed("x")),
            (MemoryWriting, MemoryWriting.take_back, fact_id),
            (MemoryWriting, MemoryWriting.delete),
        ):
            tab = who.at(state, f"/smiths/{smith_id}", tab="memory")
            if isinstance(tab, MemoryWriting):
                tab.target = fact_id
            with pytest.raises(refusal):
                await call(tab, handler, *given)
    with pytest.raises(NotFound):
        await call(stranger.at(MemoryTryout, f"/smiths/{smith_id}"), MemoryTryout.ask, {"query": "tea"})
    with pytest.raises(NotFound):
        await call(writing(stranger, smith_id), MemoryWriting.propose, "change", fact_id)
    with pytest.raises(NotFound):
        await call(writing(stranger, smith_id), MemoryWriting.doubt, fact_id)
    with pytest.raises(NotFound):
        await call(stranger.at(MemoryDocumentTab, f"/smiths/{smith_id}"), MemoryDocumentTab.take_theirs)
    for page in (MemoryFacts, MemoryFact, MemoryDocumentTab, MemoryChanges):
        for query in ({}, {"q": "tea"}, {"fact": fact_id}, {"view": "document"}, {"view": "changes"}):
            tab = await shown(stranger, smith_id, page, **query)
            assert "tea" not in json.dumps(tab.dict(), default=str)


async def test_a_fact_of_another_smith_is_not_shown_in_this_one_s_tab(desk: Desk) -> None:
    mine, other = await smith_of(desk), await smith_of(desk, external_id="user-2")
    fact_id = await fact_of(desk, other, "Another's.")
    assert (await shown(desk, mine, MemoryFact, fact=fact_id)).gone == fact_id
    with pytest.raises(NotFound):
        await call(writing(desk, mine), MemoryWriting.take_back, fact_id)
    await ask(desk, other, "Another's turn")
    tab = await shown(desk, mine, MemoryTryout, view="tryout")
    await call(tab, MemoryTryout.ask, {"query": "another's"})
    assert (tab.facts, tab.turns) == ([], [])
