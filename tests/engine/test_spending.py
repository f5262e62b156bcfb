"""Budgets at work: what is admitted, counted, told of, degraded and stopped, whoever races and whoever dies."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.usage import RequestUsage
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound
from ingram_app.core.settings import settings
from ingram_app.domain import budgets, claims, customers, model_calls, projects, runs
from ingram_app.domain.access import PERMISSIONS
from ingram_app.domain.budgets import Budget, Status
from ingram_app.domain.model_calls import Whose
from ingram_app.domain.runs import Run, RunStatus
from ingram_app.domain.spending import BudgetExceeded
from ingram_app.domain.turns import Turn
from ingram_app.gateways import prices
from tests.engine.conftest import World, engine, until
from tests.fakes.model_server import running_model_server

ROOT = Path(__file__).parents[2]
MODEL, CHEAPER = "gpt-5.4-mini", "gpt-4.1-nano"
SHORT: dict[str, Any] = {"model_settings": {"max_tokens": 20}}
"""Answers as short as the fake server's: then the estimates are good."""
WEATHER = {"name": "weather", "description": "", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture(autouse=True)
async def server(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Models whose prices are known, spoken by the fake server; leases that do not end while many race."""
    monkeypatch.setenv("IC_ALLOW_PRIVATE_ADDRESSES", "true")
    monkeypatch.setenv("IC_RUN_LEASE_SECONDS", "30")
    settings.cache_clear()
    prices.cost_micros(MODEL, RequestUsage(input_tokens=1))  # the list is read now, not while a lease runs
    async with running_model_server() as address:
        await world.key("openai", f"{address}/v1")
        yield
    monkeypatch.undo()
    settings.cache_clear()


async def budget(world: World, micros: int, action: str = "block", **terms: Any) -> Budget:
    async with world.transaction() as session:
        whose = {"scope": "tenant"} | terms
        return await budgets.create(session, world.caller, limit=micros / 1e6, action=action, **whose)


async def status(world: World, of: Budget) -> Status:
    async with world.transaction() as session:
        found = await budgets.find(session, world.caller, of.id)
        return (await budgets.statuses(session, world.caller, [found]))[0]


async def raised(world: World, of: Budget, micros: int) -> None:
    async with world.transaction() as session:
        await budgets.change(session, world.caller, of.id, {"limit": micros / 1e6})


async def told(world: World) -> list[tuple[str, int]]:
    """Return (budget, threshold) of each event that tells of one, oldest first."""
    rows = await world.sql(
        "select data ->> 'budget_id', (data ->> 'threshold')::int from events where type = 'budget.threshold'"
        " and project_id = :id order by position, 2",
        id=world.caller.project_id,
    )
    return [tuple(row) for row in rows.all()]


async def spent(world: World) -> int:
    """Return what all runs of the project have cost."""
    total = "select coalesce(sum(cost_micros), 0) from runs where project_id = :id"
    return int((await world.sql(total, id=world.caller.project_id)).scalar())


async def try_to_start(world: World, smith_id: str, said: str) -> Run | None:
    try:
        return await world.start(smith_id, said)
    except BudgetExceeded:
        return None


async def test_of_fifty_runs_that_race_few_are_admitted(world: World, working: None) -> None:
    of = await budget(world, 400)
    smiths = [await world.smith(MODEL, **SHORT) for _ in range(50)]
    begun = await asyncio.gather(*(try_to_start(world, smith_id, "delay_ms=5 hello") for smith_id in smiths))
    admitted = [run for run in begun if run]
    assert 0 < len(admitted) < 10
    ended = await asyncio.gather(*map(world.ended, admitted))
    assert {run.status for run in ended} == {RunStatus.completed}
    now = await status(world, of)
    assert now.reserved_micros == 0
    assert now.spent_micros == await spent(world)
    assert now.spent_micros <= 400 + 2 * max(run.cost_micros or 0 for run in ended)


async def test_of_fifty_queued_runs_that_race_few_ask_a_model(world: World) -> None:
    of = await budget(world, 400)
    smiths = [await world.smith(MODEL, **SHORT) for _ in range(50)]
    begun = await asyncio.gather(*(world.start(smith_id, "delay_ms=5 hello", background=True) for smith_id in smiths))
    async with engine():
        ended = await asyncio.gather(*map(world.ended, begun))
    failed = [run for run in ended if run.status is RunStatus.failed]
    assert {(run.error or {})["code"] for run in failed} == {"budget_exceeded"}
    assert all(run.cost_micros is None for run in failed)
    assert {run.status for run in ended} == {RunStatus.completed, RunStatus.failed}
    now = await status(world, of)
    assert now.spent_micros == await spent(world) <= 400 + 2 * max(run.cost_micros or 0 for run in ended)
    assert now.reserved_micros == 0


async def test_thresholds_are_told_of_once_each_however_many_race(world: World, working: None) -> None:
    of = await budget(world, 2000, "warn", thresholds=[100, 25, 50])
    agents = await budget(world, 1000, "warn", scope="smith", scope_id=await world.smith(MODEL))
    smiths = [await world.smith(MODEL, **SHORT) for _ in range(40)]
    ended = await asyncio.gather(*(world.says(smith_id, "hello") for smith_id in smiths))
    assert {run.status for run in ended} == {RunStatus.completed}
    now = await status(world, of)
    assert now.over
    assert now.spent_micros == await spent(world)
    assert sorted(await told(world)) == [(of.id, 25), (of.id, 50), (of.id, 100)]
    assert (await status(world, agents)).spent_micros == 0


async def test_a_new_period_begins_anew(world: World, working: None) -> None:
    of = await budget(world, 50, thresholds=[100])
    smith_id = await world.smith(MODEL, **SHORT)
    assert (await world.says(smith_id, "hello")).status == "completed"
    with pytest.raises(BudgetExceeded):
        await world.start(smith_id)
    past = "update budgets set period_start = period_start - interval '1 month' where id = :id"
    await world.sql(past, id=of.id)
    assert (await status(world, of)).spent_micros == 0
    run = await world.says(smith_id, "hello")
    assert (run.status, (await status(world, of)).spent_micros) == ("completed", run.cost_micros)
    assert await told(world) == [(of.id, 100), (of.id, 100)]


async def test_a_run_is_stopped_at_its_next_step(world: World, working: None) -> None:
    await budget(world, 50)
    smith_id = await world.smith(MODEL, **SHORT)
    run = await world.says(smith_id, "call=nothing")
    assert (run.status, (run.error or {})["code"]) == ("failed", "budget_exceeded")
    assert run.cost_micros
    assert [frame.event for frame in await world.frames(run)][-1] == "run.failed"
    with pytest.raises(BudgetExceeded):
        await world.start(smith_id)


async def test_a_paused_run_that_goes_on_over_budget_is_stopped(world: World, working: None) -> None:
    of = await budget(world, 50)
    smith_id = await world.smith(MODEL, client_tools=[WEATHER], **SHORT)
    paused = await world.says(smith_id, "call=weather")
    assert paused.status is RunStatus.paused_for_tool
    (call,) = await world.calls(paused)
    await world.give(paused, call.tool_call_id, "sunny")
    run = await world.ended(paused)
    assert (run.status, (run.error or {})["code"], run.cost_micros) == ("failed", "budget_exceeded", paused.cost_micros)
    assert (await status(world, of)).spent_micros == paused.cost_micros


async def test_a_raised_limit_lets_a_paused_run_go_on(world: World, working: None) -> None:
    of = await budget(world, 50)
    smith_id = await world.smith(MODEL, client_tools=[WEATHER], **SHORT)
    paused = await world.says(smith_id, "call=weather")
    await raised(world, of, 10_000)
    (call,) = await world.calls(paused)
    await world.give(paused, call.tool_call_id, "sunny")
    run = await world.ended(paused)
    assert (run.status, (await status(world, of)).spent_micros) == ("completed", run.cost_micros)


async def test_a_budget_that_is_used_up_has_the_cheaper_model_asked(world: World, working: None) -> None:
    of = await budget(world, 50, "degrade")
    smith_id = await world.smith(MODEL, cheaper_model=CHEAPER, **SHORT)
    first = await world.says(smith_id, "hello")
    assert (first.answered_by, first.warnings) == (MODEL, [])
    second = await world.says(smith_id, "hello")
    assert (second.status, second.model, second.answered_by) == ("completed", MODEL, CHEAPER)
    assert [warning["code"] for warning in second.warnings] == ["budget_degraded"]
    assert of.id in second.warnings[0]["message"]
    assert (second.cost_micros or 0) < (first.cost_micros or 0)
    await raised(world, of, 1_000_000)
    assert (await world.says(smith_id, "hello")).answered_by == MODEL


async def test_a_run_is_degraded_in_the_middle_and_back(world: World, working: None) -> None:
    of = await budget(world, 50, "degrade")
    smith_id = await world.smith(MODEL, cheaper_model=CHEAPER, client_tools=[WEATHER], **SHORT)
    run = await world.says(smith_id, "call=nothing")
    assert (run.status, run.answered_by) == ("completed", CHEAPER)
    paused = await world.says(smith_id, "call=weather")
    assert paused.answered_by == CHEAPER
    await raised(world, of, 1_000_000)
    (call,) = await world.calls(paused)
    await world.give(paused, call.tool_call_id, "sunny")
    assert (await world.ended(paused)).answered_by == MODEL


@pytest.mark.parametrize(
    ("cheaper", "warning"), [(None, "cheaper_model_missing"), ("mistral/x", "cheaper_model_unreachable")]
)
async def test_without_a_cheaper_model_the_run_goes_on_and_says_so(
    world: World, working: None, cheaper: str | None, warning: str
) -> None:
    await budget(world, 1, "degrade")
    smith_id = await world.smith(MODEL, cheaper_model=cheaper, **SHORT)
    await world.says(smith_id, "hello")
    run = await world.says(smith_id, "hello")
    assert (run.status, run.answered_by, [one["code"] for one in run.warnings]) == ("completed", MODEL, [warning])


async def test_a_carrier_that_is_killed_holds_nothing_back(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IC_RUN_LEASE_SECONDS", "2")
    settings.cache_clear()
    of = await budget(world, 1000)
    run = await world.start(await world.smith(MODEL, **SHORT), "delay_ms=50 hello", background=True)
    carrier = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.engine.dying", str(tmp_path / "none"), cwd=ROOT, env=os.environ.copy()
    )

    async def reserved() -> int:
        return (await status(world, of)).reserved_micros

    try:
        await until(reserved, 30)
    finally:
        carrier.kill()
        await carrier.wait()
    assert await reserved() > 90  # nobody knows yet that it is dead
    await until(lambda: _is_nothing(reserved()))
    assert (await world.row(run)).status is RunStatus.running
    async with engine():
        ended = await world.ended(run)
    now = await status(world, of)
    assert (ended.status, now.spent_micros, now.reserved_micros) == ("completed", ended.cost_micros, 0)


async def _is_nothing(reserved: Coroutine[Any, Any, int]) -> bool:
    return await reserved == 0


async def test_what_is_kept_is_counted_once_also_when_another_goes_on(world: World, seats: object) -> None:
    of = await budget(world, 100_000)
    smith_id = await world.smith(MODEL, client_tools=[WEATHER], **SHORT)
    async with engine():
        paused = await world.says(smith_id, "call=weather")
        (call,) = await world.calls(paused)
    await world.give(paused, call.tool_call_id, "sunny")
    await world.lose(paused)
    async with engine():
        run = await world.ended(paused)
    assert run.attempt == 2
    assert (run.status, (await status(world, of)).spent_micros) == ("completed", run.cost_micros)


async def test_what_was_spent_before_counts_and_runs_that_work_learn_of_it(world: World, working: None) -> None:
    smith_id = await world.smith(MODEL, client_tools=[WEATHER], **SHORT)
    earlier = await world.says(smith_id, "hello")
    paused = await world.says(await world.smith(MODEL, client_tools=[WEATHER], **SHORT), "call=weather")
    at_work = await world.start(smith_id, "delay_ms=20 hello")
    of = await budget(world, 1_000_000)
    assert (await status(world, of)).spent_micros == (earlier.cost_micros or 0) + (paused.cost_micros or 0)
    (call,) = await world.calls(paused)
    await world.give(paused, call.tool_call_id, "sunny")
    ended = [await world.ended(at_work), await world.ended(paused)]
    assert {run.status for run in ended} == {RunStatus.completed}
    assert (await status(world, of)).spent_micros == await spent(world)


async def test_each_scope_counts_its_own(world: World, working: None) -> None:
    async with transaction(world.caller.tenancy) as session:
        customer = (await customers.create(session, world.caller, name="Hotel Post")).id
    ann, bob = await world.smith(MODEL, customer_id=customer, **SHORT), await world.smith(MODEL, **SHORT)
    of_ann = await budget(world, 50, scope="smith", scope_id=ann)
    of_customer = await budget(world, 10_000, scope="customer", scope_id=customer)
    anns = await world.says(ann, "hello")
    bobs = await world.says(bob, "hello")
    of_agent = await budget(world, 10_000, scope="agent", scope_id=anns.agent_id)
    counted = [(await status(world, of)).spent_micros for of in (of_ann, of_customer, of_agent)]
    assert counted == [anns.cost_micros, anns.cost_micros, (anns.cost_micros or 0) + (bobs.cost_micros or 0)]
    with pytest.raises(BudgetExceeded):
        await world.start(ann)
    assert (await world.says(bob, "hello")).status == "completed"


async def test_a_run_that_is_claimed_in_its_middle_is_counted_once_where_it_was_spent(
    world: World, working: None
) -> None:
    stranger = await world.smith(MODEL, external_id="anon:1", client_tools=[WEATHER], **SHORT)
    user = await world.smith(MODEL, external_id="ann", client_tools=[WEATHER], **SHORT)
    of_stranger, of_user = [await budget(world, 10_000, scope="smith", scope_id=one) for one in (stranger, user)]
    paused = await world.says(stranger, "call=weather")
    async with transaction(world.caller.tenancy) as session:
        await claims.claim(session, world.caller, stranger, "ann")
    (call,) = await world.calls(paused)
    async with transaction(world.caller.tenancy) as session:
        moved = await claims.outcome(session, paused)
    await world.give(moved, call.tool_call_id, "sunny")
    run = await world.ended(moved)
    rest = (run.cost_micros or 0) - (paused.cost_micros or 0)
    counted = [(await status(world, of)).spent_micros for of in (of_stranger, of_user)]
    assert (run.status, run.smith_id, rest > 0, counted) == ("completed", user, True, [paused.cost_micros, rest])


async def test_what_another_smith_holds_back_counts_for_a_smith_token_too(world: World, seats: object) -> None:
    await budget(world, 50)
    ann, bob = await world.smith(MODEL, **SHORT), await world.smith(MODEL, **SHORT)
    await world.start(ann)
    own = replace(world.caller, scopes=PERMISSIONS, smith_id=bob)
    with pytest.raises(BudgetExceeded):
        async with transaction(own.tenancy) as session:
            await runs.start(session, own, bob, Turn([{"role": "user", "content": "hello"}]))


async def test_another_project_s_spending_is_not_ours(world: World, other: World, working: None) -> None:
    of, theirs = await budget(world, 50), await budget(other, 50)
    run = await world.says(await world.smith(MODEL, **SHORT), "hello")
    assert (await status(world, of)).spent_micros == run.cost_micros
    assert (await status(other, theirs)).spent_micros == 0
    assert (await other.says(await other.smith(), "hello")).status == "completed"
    with pytest.raises(NotFound):
        await status(other, of)


async def test_a_model_whose_price_is_unknown_costs_nothing_and_is_refused_all_the_same(
    world: World, working: None
) -> None:
    of = await budget(world, 50)
    smith_id = await world.smith("gpt-nobody-knows", **SHORT)
    run = await world.says(smith_id, "hello")
    assert (run.status, [one["code"] for one in run.warnings]) == ("completed", ["price_unknown"])
    assert (await status(world, of)).spent_micros == 0
    await world.says(await world.smith(MODEL, **SHORT), "hello")
    with pytest.raises(BudgetExceeded):
        await world.start(smith_id)


async def test_a_failed_run_s_last_answer_is_counted(world: World, working: None) -> None:
    of = await budget(world, 100_000)
    await world.prefer(limits={"max_output_tokens": 5})
    run = await world.says(await world.smith(MODEL), "hello")
    assert (run.status, (run.error or {})["code"]) == ("failed", "output_limit_exceeded")
    assert (await status(world, of)).spent_micros == (run.cost_micros or 0)


async def test_a_budget_that_is_taken_off_holds_no_more(world: World, working: None) -> None:
    of = await budget(world, 50)
    smith_id = await world.smith(MODEL, **SHORT)
    await world.says(smith_id, "hello")
    async with world.transaction() as session:
        await budgets.remove(session, world.caller, of.id)
        assert not (await projects.at(session, world.caller.project_id)).budgeted
    assert (await world.says(smith_id, "hello")).status == "completed"


async def test_a_lowered_limit_tells_of_what_is_reached_at_once(world: World, working: None) -> None:
    of = await budget(world, 1_000_000)
    await world.says(await world.smith(MODEL, **SHORT), "hello")
    assert await told(world) == []
    await raised(world, of, 50)
    assert await told(world) == [(of.id, 80), (of.id, 100)]
    await raised(world, of, 1_000_000)
    await raised(world, of, 50)
    assert len(await told(world)) == 2


async def test_what_a_smith_spends_beside_its_runs_is_counted(world: World, seats: object) -> None:
    smith_id = await world.smith(MODEL)
    of = await budget(world, 1000, "warn", scope="smith", scope_id=smith_id)
    call = model_calls.priced(MODEL, "byok", RequestUsage(input_tokens=1_000, output_tokens=100), {})
    async with world.transaction() as session:
        await model_calls.stamp(session, Whose(world.caller.project_id, smith_id, "agt"), [call])
    assert (await status(world, of)).spent_micros == call.cost_micros == 1200
    assert await told(world) == [(of.id, 80), (of.id, 100)]


@pytest.mark.parametrize("budget_first", [True, False])
async def test_what_is_kept_in_the_instant_that_a_budget_is_made_counts(
    world: World, seats: object, budget_first: bool
) -> None:
    smith_id = await world.smith(MODEL)
    call = model_calls.priced(MODEL, "byok", RequestUsage(input_tokens=1_000, output_tokens=100), {})

    async def spend(session: AsyncSession) -> None:
        await model_calls.stamp(session, Whose(world.caller.project_id, smith_id, "agt"), [call])

    async def limit(session: AsyncSession) -> None:
        await budgets.create(session, world.caller, scope="tenant", limit=1)

    await world.overlap(*((limit, spend) if budget_first else (spend, limit)))
    counted = "select spent_micros from budgets where project_id = :id"
    assert (await world.sql(counted, id=world.caller.project_id)).scalar() == call.cost_micros == 1200


async def test_a_budget_that_is_made_while_many_work_counts_all_of_it(world: World, working: None) -> None:
    smiths = [await world.smith(MODEL, **SHORT) for _ in range(24)]
    begun = [await world.start(smith_id, f"delay_ms={number % 5}") for number, smith_id in enumerate(smiths)]
    made: list[Budget] = []
    for whose in ({"scope": "tenant"}, *({"scope": "smith", "scope_id": smith_id} for smith_id in smiths)):
        made.append(await budget(world, 10_000_000, "warn", **whose))
    ended = [await world.ended(run) for run in begun]
    counted = [(await status(world, of)).spent_micros for of in made]
    assert counted == [sum(run.cost_micros or 0 for run in ended), *(run.cost_micros for run in ended)]
