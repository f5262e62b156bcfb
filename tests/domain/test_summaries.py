"""Summaries: what a thread remembers, and how much of it is read for a run."""

import json
from typing import Any

import pytest

from ingram_app.core.database import transaction
from ingram_app.domain import summaries
from ingram_app.domain.access import Caller
from ingram_app.domain.summaries import Past, Summary
from tests.world import Tenant, World, ok


@pytest.fixture
async def runs(project: Tenant) -> list[dict[str, Any]]:
    """Five turns of one thread, oldest first."""
    smith = await project.smith()
    return [await project.run(smith["id"], f"turn {number}", thread_id="t") for number in range(1, 6)]


async def past(tenant: Caller, runs: list[dict[str, Any]], *before: int) -> Past:
    async with transaction(tenant.tenancy) as session:
        return await summaries.past(session, tenant.project_id, runs[0]["smith_id"], "t", *before)


def numbers(known: Past) -> list[int]:
    return [number for number, _ in known.turns]


async def summarise(tenant: Caller, runs: list[dict[str, Any]], reaches: int, text: str) -> None:
    facts = {"run_id": runs[-1]["id"], "model": "test/echo", "input_tokens": 1, "output_tokens": 2, "cost_micros": 3}
    whose = {"smith_id": runs[0]["smith_id"], "thread_id": "t", "project_id": tenant.project_id}
    async with transaction(tenant.tenancy) as session:
        await summaries.keep(session, Summary(**whose, **facts, reaches=reaches, text=text))


async def test_without_a_summary_all_turns_are_remembered_as_they_were(
    tenant: Caller, runs: list[dict[str, Any]]
) -> None:
    known = await past(tenant, runs)
    assert (numbers(known), known.summary, known.more) == ([1, 2, 3, 4, 5], "", False)
    assert [len(json.loads(text)) for _, text in known.turns] == [2] * 5
    assert numbers(await past(tenant, runs, 3)) == [1, 2]


async def test_what_a_summary_tells_of_is_not_read_again(tenant: Caller, runs: list[dict[str, Any]]) -> None:
    await summarise(tenant, runs, 2, "an old one")
    await summarise(tenant, runs, 4, "the newest")
    known = await past(tenant, runs)
    assert (known.summary, numbers(known), known.more) == ("the newest", [5], False)
    assert "turn 4" not in known.text


@pytest.mark.parametrize(("limit", "value"), [("PAST_TURNS", 2), ("PAST_BYTES", 2000)])
async def test_more_than_can_be_read_is_left_out_from_the_oldest_on_and_told_of(
    tenant: Caller, runs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(summaries, limit, value)
    known = await past(tenant, runs)
    assert known.more
    assert 1 <= len(known.turns) < 5
    assert numbers(known)[-1] == 5
    assert "turn 5" in known.text
    assert "turn 1" not in known.text
    await summarise(tenant, runs, known.turns[0][0] - 1, "the rest")
    assert not (await past(tenant, runs)).more


async def test_the_newest_turn_is_read_however_long(
    tenant: Caller, runs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summaries, "PAST_BYTES", 10)
    assert numbers(await past(tenant, runs)) == [5]


async def test_a_summary_goes_with_its_thread(
    world: World, tenant: Caller, project: Tenant, runs: list[dict[str, Any]]
) -> None:
    await summarise(tenant, runs, 2, "my secret")
    ok(await project.api.delete(f"/v1/smiths/{runs[0]['smith_id']}/threads/t"))
    assert world.ask("select count(*) from summaries where smith_id = %s", runs[0]["smith_id"]) == [(0,)]
