"""Runs and one run, without a browser."""

from datetime import timedelta

import pytest

from ingram_app.console.raw_frames import RawFrames
from ingram_app.console.run import RunPage
from ingram_app.console.runs import RunsPage
from ingram_app.console.session import NotHere
from ingram_app.console.story import Story
from ingram_app.console.told import Told
from ingram_app.console.waterfall import Waterfall, bars_of
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound, Refused
from ingram_app.domain import frames, run_spans, runs, smiths
from ingram_app.domain.access import Role
from ingram_app.domain.frames import (
    AnyFrame,
    MessageCompleted,
    MessageDelta,
    MessageRestarted,
    ReasoningDelta,
    RunCompleted,
    RunStarted,
    ToolCompleted,
    ToolExecuting,
)
from ingram_app.domain.runs import Run
from ingram_app.domain.tool_calls import CallState, ToolCall, ToolKind
from ingram_app.domain.traces import Trace
from ingram_app.domain.turns import Turn
from tests.console.desk import Desk, call, sit


async def run_of(desk: Desk, external_id: str = "user-1", *, cancelled: bool = False) -> Run:
    """Queue a run, as one that nobody waits for; there is no engine here to take it up."""
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        clone, _ = await smiths.create(session, caller, {"external_id": external_id, "model": "test/echo"})
        turn = Turn([{"role": "user", "content": "Hello"}], background=True)
        run = await runs.start(session, caller, clone.smith.id, turn)
        if cancelled:
            await runs.cancel(session, caller, clone.smith.id, run.id, "not needed")
    return run


async def test_runs_are_listed_with_whom_they_are_of(desk: Desk) -> None:
    run = await run_of(desk)
    tab = desk.at(RunsPage, "/runs")
    await call(tab, RunsPage.load)
    row = tab.rows[0]
    assert (row.id, row.who, row.model, row.status) == (run.id, "user-1", "test/echo", "queued")
    assert (row.tokens, row.cost, row.took) == ("–", "–", "–")


async def test_runs_are_filtered_by_the_address(desk: Desk) -> None:
    first, second = await run_of(desk), await run_of(desk, "user-2", cancelled=True)
    for query, found in (
        ({"status": "cancelled"}, [second.id]),
        ({"status": "nonsense"}, [second.id, first.id]),
        ({"smith": first.smith_id}, [first.id]),
        ({"agent": first.agent_id}, [second.id, first.id]),
        ({"thread": first.thread_id}, [first.id]),
        ({"external_id": "user-2"}, [second.id]),
        ({"from": f"{second.created_at:%Y-%m-%d}"}, [second.id, first.id]),
        ({"from": "2026-01-01", "to": "2026-01-31"}, []),
        ({"from": "2026-02-01", "to": "2026-01-31"}, [second.id, first.id]),
    ):
        tab = desk.at(RunsPage, "/runs", **query)
        await call(tab, RunsPage.load)
        assert [row.id for row in tab.rows] == found
    assert tab.choices[0].name == "Default"


async def test_the_list_names_the_smith_that_it_is_filtered_by(desk: Desk, stranger: Desk) -> None:
    run = await run_of(desk)
    tab = desk.at(RunsPage, "/runs", smith=run.smith_id)
    await call(tab, RunsPage.load)
    assert tab.who == "user-1"
    foreign = stranger.at(RunsPage, "/runs", smith=run.smith_id)
    await call(foreign, RunsPage.load)
    assert (foreign.rows, foreign.who) == ([], run.smith_id)


async def test_a_run_is_shown_and_cancelled(desk: Desk) -> None:
    run = await run_of(desk)
    tab = desk.at(RunPage, f"/runs/{run.id}")
    await call(tab, RunPage.load)
    assert (tab.status, tab.over, tab.who, tab.design) == ("queued", False, "user-1", "Default, version 1")
    assert [(said.role, said.text) for said in tab.asked] == [("user", "Hello")]
    await call(tab, RunPage.cancel)
    assert (tab.status, tab.over) == ("cancelled", True)


async def test_the_frames_are_shown_as_they_were_sent(desk: Desk) -> None:
    run = await run_of(desk, cancelled=True)
    tab = desk.at(RawFrames, f"/runs/{run.id}")
    await call(tab, RawFrames.show)
    assert tab.text.startswith('   1  run.cancelled  {"v":1,')
    assert "not needed" in tab.text


async def test_another_projects_run_is_not_here(desk: Desk, stranger: Desk) -> None:
    run = await run_of(desk)
    path = f"/runs/{run.id}"
    page, raw, everything = stranger.at(RunPage, path), stranger.at(RawFrames, path), stranger.at(RunsPage, "/runs")
    with pytest.raises(NotHere, match="no such run"):
        await call(page, RunPage.load)
    for deed in (call(page, RunPage.cancel), call(raw, RawFrames.show)):
        with pytest.raises(NotFound):
            await deed
    await call(everything, RunsPage.load)
    assert (everything.rows, page.asked, raw.text) == ([], [], "")


async def test_a_viewer_sees_a_run_and_can_not_cancel_it(desk: Desk) -> None:
    run = await run_of(desk)
    tab = (await sit(Role.viewer, beside=desk)).at(RunPage, f"/runs/{run.id}")
    await call(tab, RunPage.load)
    assert tab.who == "user-1"
    with pytest.raises(Refused):
        await call(tab, RunPage.cancel)


async def test_how_a_run_went_and_what_its_model_was_told_are_shown(desk: Desk) -> None:
    run = await run_of(desk, cancelled=True)
    waterfall, prompt = desk.at(Waterfall, f"/runs/{run.id}"), desk.at(Told, f"/runs/{run.id}")
    await call(waterfall, Waterfall.load)
    assert [(bar.kind, bar.depth, bar.left) for bar in waterfall.bars] == [("run", 0, "0.00%")]
    await call(prompt, Told.show)
    assert [(line.role, line.text) for line in prompt.lines][-1] == ("user", "Hello")
    await call(prompt, Told.hide)
    assert prompt.lines == []


async def test_tries_that_failed_and_the_wait_after_them_are_bars_with_their_reason(desk: Desk) -> None:
    run = await run_of(desk, cancelled=True)
    at = [(run.created_at + timedelta(seconds=second)).isoformat() for second in (0, 1, 4, 5)]
    failed = {"model": "house/a", "code": "model_rate_limited", "message": "Slow down.", "began_at": at[0]}
    answer = {"model": "house/a", "began_at": at[2], "ended_at": at[3], "failed": [failed | {"ended_at": at[1]}]}
    spans = run_spans.spans(run, [{"kind": "response", "metadata": answer}], [], [])
    assert [(bar.kind, bar.status, bar.took, bar.why) for bar in bars_of(Trace(run, spans))[1:]] == [
        ("model", "error", "1.0 s", "house/a: Slow down."),
        ("wait", "ok", "3.0 s", "Wait before asking again: Slow down."),
        ("model", "ok", "1.0 s", "house/a"),
    ]


async def test_a_call_that_was_refused_is_a_bar_that_takes_no_time(desk: Desk) -> None:
    run = await run_of(desk, cancelled=True)
    asked = {"step": 1, "place": 0, "tool_call_id": "c", "tool": "divine", "kind": ToolKind.unknown, "args": {}}
    whose = {"project_id": run.project_id, "smith_id": run.smith_id, "run_id": run.id, "args_digest": ""}
    refused = ToolCall(**asked, **whose, state=CallState.refused, is_error=True, created_at=run.created_at)
    run.finished_at = run.created_at + timedelta(seconds=10)
    bar = bars_of(Trace(run, run_spans.spans(run, [], [refused], [])))[1]
    assert (bar.status, bar.took, bar.width) == ("error", "0 ms", "0.40%")


async def test_only_a_run_that_lost_its_process_says_so(desk: Desk) -> None:
    run = await run_of(desk)
    tab = desk.at(RunPage, f"/runs/{run.id}")
    await call(tab, RunPage.load)
    assert tab.carriers_lost == 0
    async with transaction((await desk.caller()).tenancy) as session:
        (await runs.look_up(session, await desk.caller(), run.id)).carriers_lost = 2
    await call(tab, RunPage.load)
    assert tab.carriers_lost == 2


async def test_neither_is_shown_to_another_project(desk: Desk, stranger: Desk) -> None:
    run = await run_of(desk, cancelled=True)
    waterfall, prompt = stranger.at(Waterfall, f"/runs/{run.id}"), stranger.at(Told, f"/runs/{run.id}")
    await call(waterfall, Waterfall.load)
    with pytest.raises(NotFound):
        await call(prompt, Told.show)
    assert (waterfall.bars, prompt.lines) == ([], [])


async def test_a_run_is_replayed_on_a_fresh_thread_and_not_by_a_viewer(desk: Desk) -> None:
    run = await run_of(desk, cancelled=True)
    for_viewer = (await sit(Role.viewer, beside=desk)).at(RunPage, f"/runs/{run.id}")
    with pytest.raises(Refused):
        await call(for_viewer, RunPage.replay)
    await call(desk.at(RunPage, f"/runs/{run.id}"), RunPage.replay)
    tab = desk.at(RunsPage, "/runs")
    await call(tab, RunsPage.load)
    assert len(tab.rows) == 2
    again = desk.at(RunPage, f"/runs/{tab.rows[0].id}")
    await call(again, RunPage.load)
    assert (again.status, [said.text for said in again.asked]) == ("queued", ["Hello"])


def told(*said: AnyFrame) -> Story:
    story = Story()
    story.hear(frames.shown("run_1", seq, frame) for seq, frame in enumerate(said, start=1))
    return story


def test_a_message_that_came_in_pieces_is_one_step() -> None:
    story = told(RunStarted("smt_1", "thr_1"), MessageDelta("Good "), MessageDelta("day"))
    assert (len(story.steps), story.said) == (1, "Good day")
    story = told(MessageDelta("Good "), MessageDelta("day"), MessageCompleted("Good day"))
    assert [(step.event, step.text, step.frames) for step in story.steps] == [("message", "Good day", 3)]
    assert story.open is None


def test_words_that_no_longer_hold_are_not_part_of_what_was_said() -> None:
    story = told(MessageDelta("Good evening"), MessageRestarted("taken up again"), MessageDelta("Good day"))
    assert story.said == "Good day"
    assert [(step.text, step.void) for step in story.steps] == [("Good evening", True), ("taken up again", False)]


def test_thoughts_and_tools_are_steps_of_their_own() -> None:
    usage = {"input_tokens": 2, "output_tokens": 3, "total_tokens": 5, "cost": 0}
    story = told(
        ReasoningDelta("Let me "),
        ReasoningDelta("see"),
        ToolExecuting("weather", "call_1"),
        ToolCompleted("weather", "call_1", is_error=True),
        MessageCompleted("It rains."),
        RunCompleted("stop", usage, []),
    )
    assert [(step.event, step.text) for step in story.steps] == [
        ("reasoning", "Let me see"),
        ("tool.executing", "weather"),
        ("tool.completed", "weather failed"),
        ("message", "It rains."),
        ("run.completed", "stop, 5 tokens"),
    ]
