"""Transcripts: what a turn leaves, and when it is part of the history."""

from typing import Any

import pytest
from pydantic_ai.messages import ModelRequest, ModelResponse, ToolCallPart, ToolReturnPart
from sqlmodel import select

from ingram_app.core.database import transaction
from ingram_app.domain import summaries, transcripts
from ingram_app.domain.access import Caller
from ingram_app.domain.runs import Run
from ingram_app.domain.transcripts import Transcript
from ingram_app.engine import prompt
from tests.world import Tenant


@pytest.fixture
async def runs(project: Tenant) -> list[dict[str, Any]]:
    """Three runs of one thread, oldest first."""
    smith = await project.smith()
    return [await project.run(smith["id"], f"turn {number}", thread_id="t") for number in range(3)]


async def history(tenant: Caller, run: dict[str, Any]) -> str:
    async with transaction(tenant.tenancy) as session:
        return (await summaries.past(session, tenant.project_id, run["smith_id"], "t")).text


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


async def test_what_a_tool_said_of_nothing_is_kept_as_nothing(tenant: Caller, runs: list[dict[str, Any]]) -> None:
    told = ToolReturnPart(tool_name="t", tool_call_id="c", content={"found": None, "list": [None]})
    call = ToolCallPart(tool_name="t", tool_call_id="c", args={"a": None})
    written = prompt.write([ModelResponse(parts=[call]), ModelRequest(parts=[told])])
    await keep(tenant, runs[1], written, complete=True)
    async with transaction(tenant.tenancy) as session:
        read = prompt.read(await transcripts.of_run(session, tenant.project_id, runs[1]["id"]))
    assert read[0].parts[0].args == {"a": None}
    assert read[1].parts[0].content == {"found": None, "list": [None]}
