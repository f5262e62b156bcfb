"""Pauses: a run waits for people and for the caller's program, through anything, and each answer counts once."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.errors import NotFound
from ingram_app.domain import answers, approvals, frames, slots, tool_calls
from ingram_app.domain.access import Actor, Caller, InsufficientScope, SmithMismatch
from ingram_app.domain.answers import ActorUnproven, DecisionRequired, ToolCallAnswered
from ingram_app.domain.approvals import Approval, ApprovalResolved, FourEyesRequired, OperatorRequired
from ingram_app.domain.runs import Run, RunNotPaused
from ingram_app.domain.tool_calls import CallState, ToolResultTooLarge
from tests.engine.conftest import World, engine, until
from tests.engine.probe import Probe
from tests.engine.test_step import events

WHERE = {
    "name": "where",
    "description": "Where the user is.",
    "parameters": {"type": "object", "properties": {"exact": {"type": "boolean"}}, "required": ["exact"]},
}
CHARGE = '[[call charge {"n": 5}]]'


@pytest.fixture(autouse=True)
def probe() -> Iterator[Probe]:
    installed = Probe().install()
    yield installed
    installed.remove()


async def gated(world: World, *rules: dict[str, Any], **design: Any) -> str:
    """Make a smith whose charges wait for a person, unless other rules are given."""
    policy = list(rules) or [{"match": "char*"}]
    tools = {"enabled_hosted_tools": ["probe"], "client_tools": [WHERE]}
    return await world.smith("test/tools", approval_policy=policy, **tools, **design)


async def paused(world: World, said: str = CHARGE, *rules: dict[str, Any], **turn: Any) -> tuple[Run, Approval]:
    """Return a run that waits for one decision, and the approval."""
    run = await world.says(await gated(world, *rules), said, **turn)
    assert run.status == "paused_for_approval", run.error
    [approval] = await world.asked(run)
    return run, approval


def data(frames: list[Any], event: str) -> list[dict[str, Any]]:
    return [json.loads(frame.data) for frame in frames if frame.event == event]


async def test_a_gated_call_waits_and_runs_once_with_what_was_shown(world: World, probe: Probe, working: None) -> None:
    run, approval = await paused(world)
    told = await world.frames(run)
    assert events(told) == ["run.started", "approval.required", "run.paused"]
    [asked] = data(told, "approval.required")
    assert (asked["approval_id"], asked["tool"], asked["args"]) == (approval.id, "charge", {"n": 5})
    assert data(told, "run.paused")[0]["reason"] == "approval"
    assert (run.lease_owner, run.lease_until, run.output, run.finished_at) == (None, None, None, None)
    assert (run.usage["total_tokens"] > 0, probe.uses) == (True, [])
    resumed = await world.decide(approval)
    assert resumed.status == "running"
    row = await world.ended(run)
    assert (row.status, [use[:2] for use in probe.uses]) == ("completed", [("charge", {"n": 5})])
    assert events(await world.frames(run))[3:] == [
        "run.resumed", "tool.executing", "tool.completed", "message.completed", "run.completed",
    ]  # fmt: skip
    [decided] = await world.asked(run)
    assert (decided.status, decided.actor["email"]) == ("approved", "ann@example.com")


@pytest.mark.parametrize("match", ["probe", "pro*", "charge"])
async def test_a_rule_may_name_a_hosted_tool_or_one_of_its_functions(
    world: World, probe: Probe, working: None, match: str
) -> None:
    run, approval = await paused(world, CHARGE, {"match": match})
    assert (approval.tool, probe.uses) == ("charge", [])
    assert (await world.says(run.smith_id, "[[call look]]")).status == (
        "completed" if match == "charge" else "paused_for_approval"
    )


async def test_who_follows_hears_the_pause_and_then_the_rest(world: World, working: None) -> None:
    run, approval = await paused(world)
    before = await world.frames(run)
    assert await world.frames(run, before[-1].seq) == []
    await world.decide(approval)
    after = await world.frames(run, before[-1].seq)
    assert [frame.seq for frame in before + after] == list(range(1, len(before + after) + 1))
    assert (before[-1].event, after[0].event, after[-1].event) == ("run.paused", "run.resumed", "run.completed")
    assert await world.frames(run) == before + after


async def test_who_looked_at_an_approval_while_somebody_decided_it_learns_of_that(
    world: World, probe: Probe, working: None
) -> None:
    run, approval = await paused(world)

    async def decide(session: AsyncSession, who: str, decision: str) -> None:
        caller = world.operator(who)
        looked = await approvals.find(session, caller, approval.id)
        which = (looked.smith_id, looked.run_id)
        await answers.decide(session, caller, *which, approval_id=looked.id, decision=decision)

    with pytest.raises(ApprovalResolved, match=r"is approved already, by ann@example\.com"):
        await world.overlap(lambda one: decide(one, "ann", "approve"), lambda two: decide(two, "bob", "reject"))
    assert (await world.ended(run)).status == "completed"
    assert [use[0] for use in probe.uses] == ["charge"]
    [decided] = await world.asked(run)
    assert (decided.status, decided.actor["email"]) == ("approved", "ann@example.com")


async def test_everything_else_of_the_step_is_done_before_the_run_pauses(
    world: World, probe: Probe, working: None
) -> None:
    run, _ = await paused(world, '[[call charge {"n": 5} and look {"n": 1}]]')
    assert [use[0] for use in probe.uses] == ["look"]
    states = {call.tool: call.state for call in await world.calls(run)}
    assert states == {"charge": CallState.asked, "look": CallState.done}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_several_things_that_wait_are_answered_in_any_order_by_different_people(
    world: World, probe: Probe, working: None, order: tuple[int, ...]
) -> None:
    said = '[[call charge {"n": 1} and charge {"n": 2} and where {"exact": true} and look]]'
    run = await world.says(await gated(world), said)
    assert run.status == "paused_for_approval"
    first, second = await world.asked(run)
    [waiting] = run.output["tool_calls"]
    assert (waiting["tool"], waiting["args"]) == ("where", {"exact": True})

    async def answer(which: int) -> Run:
        if which == 2:
            return await world.give(run, waiting["tool_call_id"], {"city": "Rome"})
        approval, decision, name = (first, "approve", "ann") if which == 0 else (second, "reject", "bob")
        return await world.decide(approval, decision, by=world.operator(name), reason="too dear")

    stages = [(await answer(which)).status for which in order]
    assert [status for status in stages[:2] if status == "running"] == []
    assert stages[2] == "running"
    row = await world.ended(run)
    assert [use[:2] for use in probe.uses] == [("look", {}), ("charge", {"n": 1})]
    told = row.output["content"]
    assert told.index("charge: <untrusted-data>\nnoted") < told.index("too dear") < told.index('{"city":"Rome"}')
    assert [approval.actor["email"] for approval in await world.asked(run)] == ["ann@example.com", "bob@example.com"]


async def test_what_is_still_open_is_what_the_run_shows(world: World, working: None) -> None:
    run = await world.says(await gated(world), f'{CHARGE[:-2]} and where {{"exact": true}}]]')
    [approval] = await world.asked(run)
    assert (await world.decide(approval)).status == "paused_for_tool"
    [waiting] = (await world.row(run)).output["tool_calls"]
    assert (await world.give(run, waiting["tool_call_id"], 1)).output is None
    await world.ended(run)


async def test_of_twelve_who_decide_at_once_one_does_and_the_others_learn_who(
    world: World, probe: Probe, working: None
) -> None:
    run, approval = await paused(world)
    people = [world.operator(f"person{number}") for number in range(12)]
    words = ["approve", "reject"] * 6
    racing = [world.decide(approval, word, by=person) for word, person in zip(words, people, strict=True)]
    came = await asyncio.gather(*racing, return_exceptions=True)
    assert len([one for one in came if isinstance(one, Run)]) == 1
    refused = [one for one in came if isinstance(one, ApprovalResolved)]
    assert len(refused) == 11
    await world.ended(run)
    [decided] = await world.asked(run)
    assert {f"by {decided.actor['email']}" in str(one) for one in refused} == {True}
    assert {decided.status.value in str(one) for one in refused} == {True}
    assert len(probe.uses) == (decided.status == "approved")


async def test_why_a_call_was_rejected_reaches_the_model(world: World, probe: Probe, working: None) -> None:
    run, approval = await paused(world)
    await world.decide(approval, "reject", reason="Ask her first.")
    row = await world.ended(run)
    assert (row.status, probe.uses) == ("completed", [])
    assert "rejected by a person" in row.output["content"]
    assert "Ask her first." in row.output["content"]


async def test_an_approval_that_nobody_decides_expires_which_is_no_refusal(
    world: World, probe: Probe, working: None
) -> None:
    run, approval = await paused(world, CHARGE, {"match": "charge", "expires_in_seconds": 1})
    assert approval.expires_at is not None
    await until(lambda: _over(world, run))
    row = await world.row(run)
    [expired] = await world.asked(run)
    assert (expired.status, expired.actor, row.status, probe.uses) == ("expired", None, "completed", [])
    assert "Nobody decided" in row.output["content"]
    assert "reject" not in row.output["content"]
    with pytest.raises(ApprovalResolved, match="expired"):
        await world.decide(approval)


async def _over(world: World, run: Run) -> bool:
    return (await world.row(run)).over


async def test_past_its_time_an_approval_is_not_decided_although_no_engine_has_closed_it(
    world: World, seats: object
) -> None:
    async with engine():
        run, approval = await paused(world, CHARGE, {"match": "charge", "expires_in_seconds": 3600})
    await world.sql("update approvals set expires_at = now() - interval '1 second' where id = :id", id=approval.id)
    with pytest.raises(ApprovalResolved, match="expired"):
        await world.decide(approval)
    assert (await world.row(run)).status == "paused_for_approval"


@pytest.mark.parametrize("table", ["tool_calls", "approvals"])
async def test_arguments_that_are_swapped_after_the_approval_are_not_run(
    world: World, probe: Probe, seats: Any, table: str
) -> None:
    async with engine():
        run, approval = await paused(world)
    seats.open = 0
    await world.decide(approval)
    swap = {
        "tool_calls": """update tool_calls set args = '{"n": 5000}' where run_id = :id""",
        "approvals": "update approvals set args_digest = 'another' where run_id = :id",
    }
    await world.sql(swap[table], id=run.id)
    async with engine():
        row = await world.ended(run)
    assert (row.status, probe.uses) == ("completed", [])
    assert [warning["code"] for warning in row.warnings] == ["approval_mismatch"]


@pytest.mark.parametrize("args", ['{"n": 1, "x": 1e22}', '{"x": 0.1, "n": 10, "a": "\\u00e9\\u0000"}', '{"n": 1.0}'])
async def test_arguments_are_the_same_after_they_were_kept(
    world: World, probe: Probe, working: None, args: str
) -> None:
    run, approval = await paused(world, f"[[call charge {args}]]")
    await world.decide(approval)
    row = await world.ended(run)
    assert (row.status, row.warnings, len(probe.uses)) == ("completed", [], 1)


async def test_a_run_that_goes_on_where_no_seat_is_free_wakes_those_who_have_one(world: World, probe: Probe) -> None:
    async with engine():
        run, approval = await paused(world)
    with signals.listening(slots.READY) as heard:
        await world.decide(approval)
    assert heard.qsize() == 1
    async with engine():
        assert (await world.ended(run)).status == "completed"


async def test_a_pause_survives_everything(world: World, probe: Probe) -> None:
    async with engine():
        run, approval = await paused(world)
    async with engine():
        assert (await world.row(run)).status == "paused_for_approval"
    await world.decide(approval)
    assert (await world.row(run)).status == "queued"  # nobody is there to carry it
    async with engine(interactive=False):
        row = await world.ended(run)
    assert (row.status, len(probe.uses)) == ("completed", 1)


async def test_a_carrier_lost_after_the_last_answer_is_made_up_for(world: World, probe: Probe, seats: object) -> None:
    async with engine():
        run, approval = await paused(world)
    seats.open = 64  # type: ignore[attr-defined]
    await world.decide(approval)
    await world.lose(run)
    async with engine():
        row = await world.ended(run)
    assert (row.status, len(probe.uses)) == ("completed", 1)


async def test_a_run_pauses_as_often_as_it_needs_to(world: World, probe: Probe, working: None) -> None:
    await world.prefer(limits={"max_steps": 3})
    run = await world.says(await gated(world), '[[call charge {"n": 1}]] [[call charge {"n": 2}]]')
    for turn in (1, 2):
        [approval] = [one for one in await world.asked(run) if one.status == "pending"]
        assert approval.args == {"n": turn}
        await world.decide(approval)
        row = await world.ended(run)
    assert (row.status, [use[1]["n"] for use in probe.uses]) == ("completed", [1, 2])
    assert events(await world.frames(run)).count("run.paused") == 2


async def test_steps_count_over_pauses(world: World, working: None) -> None:
    await world.prefer(limits={"max_steps": 1})
    run, approval = await paused(world)
    await world.decide(approval)
    row = await world.ended(run)
    assert (row.status, row.error["code"]) == ("failed", "step_limit_exceeded")


async def test_a_paused_run_is_cancelled_at_once_and_its_thread_goes_on(
    world: World, probe: Probe, working: None
) -> None:
    smith_id = await gated(world)
    run = await world.says(smith_id, CHARGE, thread_id="t")
    second = await world.start(smith_id, "and now", thread_id="t")
    assert (await world.cancel(run, "never mind")).status == "cancelled"
    assert events(await world.frames(run))[-2:] == ["run.paused", "run.cancelled"]
    [approval] = await world.asked(run)
    assert (approval.status, approval.reason, approval.actor) == ("expired", "The run was cancelled.", None)
    assert (await world.ended(second)).output["content"] == "and now"
    with pytest.raises(ApprovalResolved):
        await world.decide(approval)
    assert probe.uses == []


async def test_a_cancel_that_comes_while_a_run_pauses_is_not_lost(world: World, working: None) -> None:
    smith_id = await gated(world)
    for _ in range(10):
        run = await world.start(smith_id, CHARGE)
        await world.cancel(run)
        assert (await world.ended(run)).status == "cancelled"
        assert "pending" not in [approval.status for approval in await world.asked(run)]


async def test_the_caller_s_program_does_what_only_it_can(world: World, working: None) -> None:
    run = await world.says(await gated(world), '[[call where {"exact": false}]]')
    [call] = run.output["tool_calls"]
    assert (run.status, call["tool"], call["args"]) == ("paused_for_tool", "where", {"exact": False})
    told = await world.frames(run)
    assert events(told) == ["run.started", "tool.required", "run.paused"]
    assert data(told, "tool.required")[0]["args"] == {"exact": False}
    await world.give(run, call["tool_call_id"], ["Rome", None, 3.5])
    row = await world.ended(run)
    assert row.output["content"] == 'where: <untrusted-data>\n["Rome",null,3.5]\n</untrusted-data>'
    with pytest.raises(RunNotPaused):
        await world.give(run, call["tool_call_id"], "again")


async def test_what_the_caller_s_program_could_not_do_is_told_as_an_error(world: World, working: None) -> None:
    run = await world.says(await gated(world), '[[call where {"exact": false}]]')
    await world.give(run, run.output["tool_calls"][0]["tool_call_id"], "No signal.", is_error=True)
    await world.ended(run)
    [call] = await world.calls(run)
    assert (call.state, call.is_error, call.result) == ("done", True, "No signal.")


async def test_nobody_is_asked_for_a_call_with_wrong_arguments(world: World, working: None) -> None:
    run = await world.says(await gated(world, {"match": "*"}), '[[call where {"exact": "very"}]]')
    assert (run.status, await world.asked(run)) == ("completed", [])
    assert "not called: exact:" in run.output["content"]


async def test_a_gated_call_of_the_caller_s_program_waits_twice(world: World, working: None) -> None:
    run, approval = await paused(world, '[[call where {"exact": true}]]', {"match": "where"})
    assert run.output is None
    with pytest.raises(NotFound):
        await world.give(run, approval.tool_call_id, "too early")
    await world.decide(approval)
    row = await world.ended(run)
    assert (row.status, row.output["tool_calls"][0]["tool"]) == ("paused_for_tool", "where")
    await world.give(run, approval.tool_call_id, "Rome")
    assert (await world.ended(run)).status == "completed"
    assert events(await world.frames(run)).count("tool.required") == 1


async def test_a_result_is_given_once(world: World, working: None) -> None:
    run = await world.says(await gated(world), '[[call where {"exact": true} and where {"exact": false}]]')
    first, second = [call["tool_call_id"] for call in run.output["tool_calls"]]
    given = await asyncio.gather(*(world.give(run, first, n) for n in range(12)), return_exceptions=True)
    assert len([one for one in given if isinstance(one, Run)]) == 1
    assert len([one for one in given if isinstance(one, ToolCallAnswered)]) == 11
    with pytest.raises(ToolResultTooLarge):
        await world.give(run, second, "x" * (tool_calls.RESULT_BYTES + 1))
    with pytest.raises(NotFound):
        await world.give(run, "call_of_nobody", 1)
    await world.give(run, second, None)
    assert (await world.ended(run)).status == "completed"


async def test_who_started_a_run_does_not_decide_alone(world: World, working: None) -> None:
    run, approval = await paused(world, CHARGE, {"match": "*", "four_eyes": True})
    with pytest.raises(FourEyesRequired):
        await world.decide(approval, by=world.caller)
    with pytest.raises(FourEyesRequired):
        await world.decide(approval, by=world.caller, actor={"id": "somebody else"})
    await world.decide(approval, by=world.operator("bob"))
    assert (await world.ended(run)).status == "completed"


def of_smith(world: World, smith_id: str, *permissions: str) -> Caller:
    scopes = frozenset(permissions or ("approvals:write",))
    return Caller(Actor("smith", smith_id), scopes, project_id=world.caller.project_id, smith_id=smith_id)


async def test_a_smith_decides_only_what_is_its_person_s_to_decide(world: World, working: None) -> None:
    theirs, of_operators = await paused(world)
    mine, of_smiths = await paused(world, CHARGE, {"match": "*", "approver": "smith"})
    with pytest.raises(OperatorRequired):
        await world.decide(of_operators, by=of_smith(world, theirs.smith_id))
    with pytest.raises(InsufficientScope):
        await world.decide(of_smiths, by=of_smith(world, mine.smith_id, "runs:write", "approvals:read"))
    with pytest.raises(SmithMismatch):
        await world.decide(of_smiths, by=of_smith(world, theirs.smith_id))
    with pytest.raises(ActorUnproven):
        await world.decide(of_smiths, by=of_smith(world, mine.smith_id), actor={"id": "the boss"})
    await world.decide(of_smiths, by=of_smith(world, mine.smith_id))
    assert (await world.ended(mine)).status == "completed"


async def test_a_decision_says_what_it_decides(world: World, working: None) -> None:
    _, approval = await paused(world)
    with pytest.raises(DecisionRequired):
        await world.decide(approval, "perhaps")
    with pytest.raises(DecisionRequired):
        await world.decide(approval, approval_id=None)
    with pytest.raises(NotFound):
        await world.decide(approval, approval_id="apr_of_nobody")


async def test_what_a_pause_is_about_stands_on_the_feed(world: World, working: None) -> None:
    run, approval = await paused(world)
    await world.decide(approval, "reject", reason="No.")
    await world.ended(run)
    told = await world.sql("select type, data from events where data->>'run_id' = :id order by id", id=run.id)
    facts = {kind: facts for kind, facts in told.all()}
    assert {"approval.required", "run.paused", "approval.resolved", "tool.completed"} <= set(facts)
    assert (facts["approval.resolved"]["status"], facts["approval.resolved"]["reason"]) == ("rejected", "No.")
    assert frames.RunPaused.name in facts
