"""Transcripts: the history that goes to the model, and what it leaves out."""

from typing import Any

import pytest
from sqlmodel import select

from ingram_app.core.database import transaction
from ingram_app.domain import transcripts
from ingram_app.domain.access import Caller
from ingram_app.domain.runs import Run
from ingram_app.domain.transcripts import Transcript
from tests.world import Tenant


@pytest.fixture
async def runs(project: Tenant) -> list[dict[str, Any]]:
    """Three runs of one thread, oldest first."""
    smith = await project.smith()
    return [await project.run(smith["id"], f"turn {number}", thread_id="t") for number in range(3)]


async def history(tenant: Caller, run: dict[str, Any]) -> str:
    async with transaction(tenant.tenancy) as session:
        return str(await transcripts.history(session, tenant.project_id, run["smith_id"], "t"))


async def keep(tenant: Caller, run: dict[str, Any], messages: list[dict[str, Any]], *, complete: bool) -> None:
    names = {name: run[name] for name in ("smith_id", "thread_id")}
    async with transaction(tenant.tenancy) as session:
        turn = await session.scalar(select(Run.turn).where(Run.id == run["id"]))
        known = {"run_id": run["id"], "project_id": tenant.project_id, "turn": turn, **names}
        row = Transcript(**known, messages=messages, complete=complete)
        await transcripts.keep(session, row)


async def test_completed_turns_come_oldest_first(tenant: Caller, runs: list[dict[str, Any]]) -> None:
    told = await history(tenant, runs[0])
    assert told.index("turn 0") < told.index("turn 1") < told.index("turn 2")


async def test_a_turn_that_is_not_complete_is_left_out(tenant: Caller, runs: list[dict[str, Any]]) -> None:
    await keep(tenant, runs[1], [{"kind": "request", "said": "half"}], complete=False)
    told = await history(tenant, runs[0])
    assert "half" not in told
    assert "turn 2" in told
    async with transaction(tenant.tenancy) as session:
        assert "half" in str(await transcripts.of_run(session, tenant.project_id, runs[1]["id"]))


async def test_what_does_not_fit_is_left_out_from_the_oldest_on(tenant: Caller, runs: list[dict[str, Any]]) -> None:
    await keep(tenant, runs[1], [{"said": "long" * transcripts.HISTORY_BYTES}], complete=True)
    told = await history(tenant, runs[0])
    assert "turn 2" in told
    assert "long" not in told
    assert "turn 0" not in told


async def test_the_newest_turn_is_sent_however_long(tenant: Caller, runs: list[dict[str, Any]]) -> None:
    await keep(tenant, runs[2], [{"said": "long" * transcripts.HISTORY_BYTES}], complete=True)
    assert "long" in await history(tenant, runs[0])
