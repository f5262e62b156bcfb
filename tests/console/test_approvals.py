"""The inbox of approvals and what a run waits for, without a browser."""

from typing import Any

import pytest

from ingram_app.console.approvals import ApprovalsPage
from ingram_app.console.deciding import MOST, Deciding, rows_of, spelt
from ingram_app.console.following import renew
from ingram_app.console.run_waits import Owed, RunWaits, _of
from ingram_app.console.story import Story
from ingram_app.core import signals
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound, Refused
from ingram_app.domain import approvals, erasures, frames, leases, runs, smiths, tool_calls
from ingram_app.domain.access import Role
from ingram_app.domain.approvals import Approval, ApprovalResolved, ApprovalStatus, InvalidContent
from ingram_app.domain.leases import Pause
from ingram_app.domain.runs import Run, RunStatus
from ingram_app.domain.tool_calls import CallState, ToolCall, ToolKind, digest_of
from ingram_app.domain.turns import Turn
from tests.console.desk import Desk, call, sit


async def waiting(
    desk: Desk, external_id: str = "user-1", *, kind: ToolKind = ToolKind.hosted, elicitation: Any = None
) -> Run:
    """Have a run wait, as its carrier would; there is no engine here."""
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        clone, _ = await smiths.create(session, caller, {"external_id": external_id, "model": "test/tools"})
        turn = Turn([{"role": "user", "content": "Pay"}], background=True)
        queued = await runs.start(session, caller, clone.smith.id, turn)
    async with transaction(caller.tenancy) as session:
        run = await leases.claim(session, queued.id)
        assert run is not None
        asked = _call(run, kind)
        if elicitation:
            asked.gate = {"approver": "operator", "elicitation": elicitation}
        await tool_calls.add(session, [asked])
        is_gated = kind is ToolKind.hosted
        status = RunStatus.paused_for_approval if is_gated else RunStatus.paused_for_tool
        required = [approvals.of_call(asked, run.agent_id)] if is_gated else []
        pause = Pause(status, "approval", {"output": None, "warnings": []}, required, [] if is_gated else [asked])
        last = [frames.shown(run.id, 2, frames.RunPaused("approval"))]
        await leases.pause(session, leases.of(run), pause, last, [])
    return run


def _call(run: Run, kind: ToolKind) -> ToolCall:
    args = {"euros": 40, "to": "Ann"}
    whose = {"project_id": run.project_id, "smith_id": run.smith_id, "run_id": run.id}
    what = {"step": 1, "place": 0, "tool_call_id": "call_1", "tool": "pay", "kind": kind}
    return ToolCall(**whose, **what, args=args, args_digest=digest_of(args), gate={"match": "pay"})


async def approval_of(desk: Desk, run: Run) -> Approval:
    async with transaction((await desk.caller()).tenancy) as session:
        [approval] = await approvals.of_run(session, run.project_id, run.id)
    return approval


async def test_what_waits_is_shown_with_its_arguments_in_full(desk: Desk) -> None:
    run = await waiting(desk)
    tab = desk.at(ApprovalsPage, "/approvals")
    await call(tab, ApprovalsPage.load)
    [row] = tab.rows
    assert (row.run, row.who, row.tool, row.status) == (run.id, "user-1", "pay", "pending")
    assert row.args == '{\n  "euros": 40,\n  "to": "Ann"\n}'
    root = f"/p/{run.project_id}"
    assert (row.smith_path, row.agent) == (f"{root}/smiths/{run.smith_id}", "Default")
    assert row.agent_path == f"{root}/agents/{run.agent_id}"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("to \u202eannA\u202c", "to \\u{202e}annA\\u{202c}"),
        ("a\u200bb\ufeff\u2066", "a\\u{200b}b\\u{feff}\\u{2066}"),
        ("x\x1b[2J", "x\\u{1b}[2J"),
        ("fine" + chr(0xE0041), "fine\\u{e0041}"),
        ("Grüße, 你好 🙂\n\tok", "Grüße, 你好 🙂\n\tok"),
    ],
)
def test_nothing_in_what_is_to_be_decided_is_there_unseen(said: str, shown: str) -> None:
    """What runs is what was shown: no letter turns others round, or hides some."""
    assert spelt(said) == shown
    assert said == shown or said not in spelt({"to": said})


QUESTION = {
    "mode": "form",
    "message": "Which size?\u202e",
    "requestedSchema": {
        "type": "object",
        "properties": {
            "size": {"type": "string", "enum": ["M", "L"]},
            "many": {"type": "integer", "title": "How many", "description": "At most ten."},
            "gift": {"type": "boolean"},
            "note": {"type": "string"},
        },
        "required": ["size"],
    },
}


async def test_what_a_tool_s_server_wants_to_know_is_asked_field_by_field(desk: Desk) -> None:
    run = await waiting(desk, elicitation=QUESTION)
    tab = desk.at(ApprovalsPage, "/approvals")
    await call(tab, ApprovalsPage.load)
    [row] = tab.rows
    assert (row.question, row.page) == ("Which size?\\u{202e}", "")
    assert {(one.name, one.label, one.kind, one.required) for one in row.blanks} == {
        ("size", "size", "select", True),
        ("many", "How many", "number", False),
        ("gift", "gift", "checkbox", False),
        ("note", "note", "text", False),
    }
    deciding = desk.at(Deciding, "/approvals")
    with pytest.raises(InvalidContent):
        await call(deciding, Deciding.answer, {"approval": row.id, "answer size": "XXL"})
    filled_in = {"approval": row.id, "answer size": "L", "answer many": "2", "answer gift": "on", "answer note": " "}
    await call(deciding, Deciding.answer, filled_in)
    decided = await approval_of(desk, run)
    assert (decided.status, decided.content) == ("approved", {"size": "L", "many": 2, "gift": True})


@pytest.mark.parametrize(
    ("url", "shown"),
    [("https://pay.example/x", "https://pay.example/x"), ("javascript:alert(1)", ""), ("https://pаy.example/", "")],
)
async def test_a_page_that_a_server_sends_people_to_is_named_and_only_such(desk: Desk, url: str, shown: str) -> None:
    await waiting(desk, elicitation={"mode": "url", "message": "Pay first", "url": url})
    tab = desk.at(ApprovalsPage, "/approvals")
    await call(tab, ApprovalsPage.load)
    assert (tab.rows[0].question, tab.rows[0].page, tab.rows[0].blanks) == ("Pay first", shown, [])


async def test_the_inbox_is_filtered_by_the_address(desk: Desk) -> None:
    first, second = await waiting(desk), await waiting(desk, "user-2")
    decided = await approval_of(desk, first)
    await call(desk.at(Deciding, "/approvals"), Deciding.reject, {"approval": decided.id, "reason": " Too dear. "})
    for query, found in (
        ({}, [second.id]),
        ({"status": "rejected"}, [first.id]),
        ({"status": "approved"}, []),
        ({"status": "all"}, [second.id, first.id]),
        ({"status": "all", "smith": first.smith_id}, [first.id]),
        ({"agent": first.agent_id}, [second.id]),
    ):
        tab = desk.at(ApprovalsPage, "/approvals", **query)
        await call(tab, ApprovalsPage.load)
        assert [row.run for row in tab.rows] == found, query


async def test_who_decided_is_written_down_and_the_run_goes_on(desk: Desk) -> None:
    run = await waiting(desk)
    approval = await approval_of(desk, run)
    await call(desk.at(Deciding, "/approvals"), Deciding.approve, approval.id)
    decided = await approval_of(desk, run)
    assert (decided.status, decided.actor["email"]) == ("approved", desk.teammate.email)
    async with transaction((await desk.caller()).tenancy) as session:
        assert (await runs.look_up(session, await desk.caller(), run.id)).status == "queued"
    late = (await sit(beside=desk)).at(Deciding, "/approvals")
    with pytest.raises(ApprovalResolved, match=f"approved already, by {desk.teammate.email}"):
        await call(late, Deciding.reject, {"approval": approval.id})


async def test_what_is_decided_elsewhere_stays_in_its_place_and_says_so(desk: Desk) -> None:
    first = await waiting(desk)
    tab = desk.at(ApprovalsPage, "/approvals")
    await call(tab, ApprovalsPage.load)
    shown = list(tab.rows)
    await call(desk.at(Deciding), Deciding.reject, {"approval": shown[0].id, "reason": "No."})
    await waiting(desk, "user-2")
    async with transaction((await desk.caller()).tenancy) as session:
        again = await approvals.known(session, await desk.caller(), [row.id for row in shown])
    assert [(one.run_id, one.status, one.reason) for one in again] == [(first.id, "rejected", "No.")]


async def test_what_an_erased_person_was_asked_for_leaves_the_inbox_and_the_count(desk: Desk) -> None:
    run, _ = await waiting(desk), await waiting(desk, "user-2")
    caller = await desk.caller()
    tab = desk.at(ApprovalsPage, "/approvals")
    await call(tab, ApprovalsPage.load)
    with signals.listening(approvals.topic(caller.project_id)) as heard:
        async with transaction(caller.tenancy) as session:
            await erasures.erase(session, caller, run.smith_id)
        assert not heard.empty()
    async with transaction(caller.tenancy) as session:
        known = await approvals.known(session, caller, [row.id for row in tab.rows])
        now = {row.id: row for row in await rows_of(session, caller, known)}
        assert await approvals.waiting(session, caller) == 1
    assert renew(tab.rows, list(tab.rows), now)
    assert [row.who for row in tab.rows] == ["user-2"]


async def test_a_viewer_sees_what_waits_and_decides_nothing(desk: Desk) -> None:
    run = await waiting(desk)
    viewer = await sit(Role.viewer, beside=desk)
    tab = viewer.at(ApprovalsPage, "/approvals")
    await call(tab, ApprovalsPage.load)
    for deed in (
        call(viewer.at(Deciding), Deciding.approve, tab.rows[0].id),
        call(viewer.at(Deciding), Deciding.reject, {"approval": tab.rows[0].id}),
        call(viewer.at(RunWaits, f"/runs/{run.id}"), RunWaits.give, {"call": "call_1", "result": "1"}),
    ):
        with pytest.raises(Refused):
            await deed
    assert (await approval_of(desk, run)).status == "pending"


async def test_another_projects_approvals_are_neither_seen_nor_decided(desk: Desk, stranger: Desk) -> None:
    run = await waiting(desk)
    approval = await approval_of(desk, run)
    tab = stranger.at(ApprovalsPage, "/approvals", status="all", smith=run.smith_id)
    await call(tab, ApprovalsPage.load)
    assert tab.rows == []
    with pytest.raises(NotFound):
        await call(stranger.at(Deciding), Deciding.approve, approval.id)
    with pytest.raises(NotFound):
        await call(stranger.at(RunWaits, f"/runs/{run.id}"), RunWaits.give, {"call": "call_1", "result": "1"})
    assert await _of(await stranger.caller(), run.id) == ([], [])
    assert (await approval_of(desk, run)).status == "pending"


async def test_a_run_s_page_shows_what_it_waits_for(desk: Desk) -> None:
    caller = await desk.caller()
    gated, handed_out = await waiting(desk), await waiting(desk, "user-2", kind=ToolKind.client)
    [asked], owed = await _of(caller, gated.id)
    assert (asked.run, owed) == (gated.id, [])
    assert await _of(caller, handed_out.id) == ([], [Owed("call_1", "pay", asked.args)])


@pytest.mark.parametrize(
    ("said", "kept"), [('{"paid": true}', {"paid": True}), ("paid in full", "paid in full"), ('""', ""), ("null", None)]
)
async def test_a_result_is_given_in_the_program_s_place(desk: Desk, said: str, kept: object) -> None:
    run = await waiting(desk, kind=ToolKind.client)
    tab = desk.at(RunWaits, f"/runs/{run.id}")
    await call(tab, RunWaits.give, {"call": "call_1", "result": said, "failed": "on"})
    async with transaction((await desk.caller()).tenancy) as session:
        [done] = await tool_calls.of_run(session, run.project_id, run.id)
    assert (done.state, done.result, done.is_error) == (CallState.done, kept, True)


async def test_a_result_that_was_left_empty_is_asked_for_and_not_given(desk: Desk) -> None:
    run = await waiting(desk, kind=ToolKind.client)
    tab = desk.at(RunWaits, f"/runs/{run.id}")
    for empty in ({}, {"result": ""}, {"result": " \n"}):
        await call(tab, RunWaits.give, {"call": "call_1", **empty})
        assert tab.lacking == "call_1"
    async with transaction((await desk.caller()).tenancy) as session:
        [still] = await tool_calls.of_run(session, run.project_id, run.id)
    assert still.state is CallState.begun
    await call(tab, RunWaits.give, {"call": "call_1", "result": "null"})
    assert tab.lacking == ""


async def test_the_story_tells_what_a_tool_was_used_with_and_what_came_of_it(desk: Desk) -> None:
    run = await waiting(desk)
    story = Story()
    told = [frames.ToolExecuting("pay", "call_1"), frames.ToolCompleted("pay", "call_1", False)]
    story.hear([frames.shown("run_1", seq, frame) for seq, frame in enumerate(told, start=1)])
    done = _call(run, ToolKind.hosted)
    done.state, done.result = CallState.done, "done"
    story.fill([done])
    assert (story.steps[1].args, story.steps[1].result) == ('{\n  "euros": 40,\n  "to": "Ann"\n}', "done")


async def test_the_story_tells_who_decided_and_what_the_caller_s_program_did(desk: Desk) -> None:
    run = await waiting(desk)
    approval, made = await approval_of(desk, run), _call(run, ToolKind.hosted)
    approval.actor = {"kind": "teammate", "id": "tm_1", "email": "ada@example.com"}
    for status, state, told in (
        ("rejected", CallState.refused, "pay was rejected by ada@example.com"),
        ("approved", CallState.done, "pay answered, approved by ada@example.com"),
    ):
        approval.status, made.state = ApprovalStatus(status), state
        assert outcome(frames.ToolCompleted("pay", "call_1", True), made, approval) == told
    approval.status, approval.actor, made.state = ApprovalStatus.expired, None, CallState.refused
    expired = "pay was not made: nobody decided in time"
    assert outcome(frames.ToolCompleted("pay", "call_1", True), made, approval) == expired
    assert outcome(frames.ToolCompleted("pay", "call_1", True), made) == "pay brought no result"
    handed_out, required = _call(run, ToolKind.client), frames.ToolRequired("pay", "call_1", {})
    for state, told in ((CallState.begun, ""), (CallState.done, "pay answered")):
        handed_out.state = state
        assert outcome(required, handed_out) == told


def outcome(frame: frames.AnyFrame, made: ToolCall, *asked: Approval) -> str:
    story = Story()
    story.hear([frames.shown(made.run_id, 1, frame)])
    story.fill([made], asked)
    return story.steps[0].outcome


def test_what_is_too_long_to_read_is_cut() -> None:
    assert spelt("x" * (MOST + 1500)).endswith("… and 1,500 letters more; the API has all of it.")
