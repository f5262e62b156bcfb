"""One thread's page, without a browser."""

from typing import Any

import pytest

from ingram_app.console.session import NotHere
from ingram_app.console.smith import SmithPage
from ingram_app.console.thread import ThreadPage
from ingram_app.console.thread_lines import SHOWN_BYTES, id_of, key_of, lines_of
from ingram_app.core.clock import now
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound, Refused
from ingram_app.domain import runs, smiths, speech, summaries
from ingram_app.domain.access import Role
from ingram_app.domain.runs import Run
from ingram_app.domain.summaries import Summary
from ingram_app.domain.tool_calls import ToolKind
from ingram_app.domain.transcripts import broken_off
from ingram_app.domain.turns import Turn
from tests.console.desk import Desk, call, sit
from tests.console.test_approvals import waiting
from tests.pictures import file, image, png

NAMES = ["first", "a/b", "../..", "?#%2F", "ä 漢字 🙂", "x" * 200]


async def said(desk: Desk, *content: Any, thread_id: str = "first") -> Run:
    """Queue a turn; there is no engine here to take it up."""
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        clone, _ = await smiths.create(session, caller, {"external_id": "user-1", "model": "test/echo"})
        parts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
        turn = Turn([{"role": "user", "content": parts}], thread_id=thread_id, background=True)
        return await runs.start(session, caller, clone.smith.id, turn)


def page_of(desk: Desk, run: Run, thread_id: str = "first", **query: str) -> ThreadPage:
    return desk.at(ThreadPage, f"/smiths/{run.smith_id}/threads/{key_of(thread_id)}", **query)


@pytest.mark.parametrize("name", NAMES)
async def test_a_thread_is_shown_whatever_its_name(desk: Desk, name: str) -> None:
    run = await said(desk, "Where is my parcel?", thread_id=name)
    await said(desk, "And now?", thread_id=name)
    tab = page_of(desk, run, name)
    await call(tab, ThreadPage.load)
    assert (tab.id, tab.title, tab.who, tab.turns) == (name, "Where is my parcel?", "user-1", 2)
    assert [(line.kind, line.text, line.first) for line in tab.lines] == [
        ("user", "Where is my parcel?", True),
        ("user", "And now?", True),
    ]
    assert [row.status for row in tab.runs] == ["queued", "queued"]
    listed = desk.at(SmithPage, f"/smiths/{run.smith_id}", tab="threads")
    await call(listed, SmithPage.load)
    assert [(row.id, id_of(row.key)) for row in listed.threads] == [(name, name)]


@pytest.mark.parametrize("key", ["", "~", "ä", "Zm9", "_w", "x" * 100_000, "Zmlyc3Q=/.."])
async def test_what_is_no_thread_is_not_here(desk: Desk, key: str) -> None:
    run = await said(desk, "Hello")
    tab = desk.at(ThreadPage, f"/smiths/{run.smith_id}/threads/{key}")
    with pytest.raises(NotHere, match="no such thread"):
        await call(tab, ThreadPage.load)


async def test_another_projects_thread_is_not_here(desk: Desk, stranger: Desk) -> None:
    run = await said(desk, "Hello", image(png()))
    tab = page_of(stranger, run)
    with pytest.raises(NotHere):
        await call(tab, ThreadPage.load)
    for deed, form in ((ThreadPage.rename, {"title": "Mine"}), (ThreadPage.delete, {"name": "Hello"})):
        with pytest.raises(NotFound):
            await call(tab, deed, form)
    with pytest.raises(NotFound):
        await call(tab, ThreadPage.download, run.input[0]["content"][1]["sha256"])
    assert tab.lines == []


async def test_a_thread_is_renamed_in_words_that_can_be_a_title(desk: Desk) -> None:
    tab = page_of(desk, await said(desk, "Hello"))
    await call(tab, ThreadPage.load)
    for wrong in ("", "x" * 5_000_000, "a\nb"):
        assert await call(tab, ThreadPage.rename, {"title": wrong}) is None
        assert "80 printable" in tab.refusal
    await call(tab, ThreadPage.rename, {"title": " A parcel "})
    assert (tab.title, tab.refusal) == ("A parcel", "")


async def test_a_thread_is_deleted_by_its_title_and_by_nothing_else(desk: Desk) -> None:
    run = await said(desk, "Hello")
    tab = page_of(desk, run)
    await call(tab, ThreadPage.load)
    assert "1 turn" in tab.loss
    for wrong in ({}, {"name": ""}, {"name": "hello"}):
        await call(tab, ThreadPage.delete, wrong)
    await call(tab, ThreadPage.load)
    assert tab.title == "Hello"
    await call(tab, ThreadPage.delete, {"name": "Hello"})
    with pytest.raises(NotHere):
        await call(tab, ThreadPage.load)


async def test_a_viewer_reads_and_changes_nothing(desk: Desk) -> None:
    run = await said(desk, "Hello")
    tab = page_of(await sit(Role.viewer, beside=desk), run)
    await call(tab, ThreadPage.load)
    assert tab.title == "Hello"
    for deed, form in ((ThreadPage.rename, {"title": "Mine"}), (ThreadPage.delete, {"name": "Hello"})):
        with pytest.raises(Refused):
            await call(tab, deed, form)


async def test_small_pictures_are_shown_and_all_can_be_downloaded(desk: Desk) -> None:
    run = await said(
        desk, "Look", image(png()), image(png(padding=SHOWN_BYTES)), file(b"a,b", "text/csv", filename="t.csv")
    )
    tab = page_of(desk, run)
    await call(tab, ThreadPage.load)
    _, small, large, listed = tab.lines
    assert small.source.startswith("data:image/png;base64,")
    assert large.source == listed.source == ""
    assert listed.text == "t.csv, 3 bytes"
    given = await call(tab, ThreadPage.download, listed.sha256)
    assert "YSxi" in str(given.args)


async def test_what_is_remembered_in_short_is_shown(desk: Desk) -> None:
    run = await said(desk, "Hello")
    facts = {"run_id": run.id, "model": "test/echo", "input_tokens": 1, "output_tokens": 2, "cost_micros": 3}
    whose = {"smith_id": run.smith_id, "thread_id": "first", "project_id": run.project_id}
    async with transaction((await desk.caller()).tenancy) as session:
        await summaries.keep(session, Summary(**whose, **facts, reaches=40, text="They talked of parcels."))
    tab = page_of(desk, run)
    await call(tab, ThreadPage.load)
    assert (tab.summary, tab.summary_reaches) == ("They talked of parcels.", 40)


@pytest.mark.parametrize(
    ("kind", "waits"), [(ToolKind.hosted, "paused_for_approval"), (ToolKind.client, "paused_for_tool")]
)
async def test_a_run_that_waits_for_somebody_says_for_what(desk: Desk, kind: ToolKind, waits: str) -> None:
    run = await waiting(desk, kind=kind)
    tab = page_of(desk, run, run.thread_id)
    await call(tab, ThreadPage.load)
    assert (tab.waits, tab.live_run) == (waits, run.id)
    async with transaction((await desk.caller()).tenancy) as session:
        await runs.cancel(session, await desk.caller(), run.smith_id, run.id)
    await call(tab, ThreadPage.load)
    assert (tab.waits, tab.live_run) == ("", "")


async def test_a_long_conversation_is_read_page_by_page(desk: Desk) -> None:
    run = await said(desk, *[f"part {number}" for number in range(3)])
    for number in range(20):
        await said(desk, f"turn {number}")
    tab = page_of(desk, run)
    await call(tab, ThreadPage.load)
    assert (len(tab.lines), tab.older) == (23, "")


def test_calls_results_and_interruptions_have_lines_of_their_own() -> None:
    call_ = {"part_kind": "tool-call", "tool_name": "lamp", "args": '{"on": true}', "tool_call_id": "c1"}
    written = broken_off([{"kind": "response", "parts": [{"part_kind": "thinking", "content": "hm"}, call_]}])
    lines = lines_of(speech.read(message, "run_1", now()) for message in written)
    assert [line.kind for line in lines] == ["reasoning", "call", "result", "interruption"]
    assert lines[1].text == 'lamp {"on": true}'
    assert [line.first for line in lines] == [True, False, False, False]
