"""Frames: numbered without a gap, kept before they are seen, by no one but who carries the run."""

import json
from typing import Any, get_args

import pytest

from ingram_app.core.database import Tenancy, transaction
from ingram_app.domain import frames
from ingram_app.domain.frames import AnyFrame, MessageDelta, Shown
from tests.world import Tenant


@pytest.fixture(scope="module")
async def run(project: Tenant) -> dict[str, Any]:
    return await project.run((await project.smith())["id"], "one two")


async def followed(project_id: str, run_id: str, after: int = 0) -> list[Shown]:
    return [frame async for frame in frames.follow(project_id, run_id, after) if frame]


async def test_a_run_that_has_ended_is_told_from_the_table(project: Tenant, run: dict[str, Any]) -> None:
    told = await followed(project.id, run["id"])
    assert [frame.seq for frame in told] == list(range(1, len(told) + 1))
    assert told[0].event == "run.started"
    assert told[-1].event == "run.completed"
    assert await followed(project.id, run["id"], told[-2].seq) == told[-1:]
    assert await followed(project.id, run["id"], 10**6) == []


async def test_another_project_hears_nothing(other: Tenant, run: dict[str, Any]) -> None:
    async with transaction(Tenancy(project_id=other.id)) as session:
        assert await frames.browse(session, other.id, run["id"]) == []
        assert await frames.latest(session, run["id"]) == 0


def test_a_frame_is_one_line_of_json_with_its_run() -> None:
    shown = frames.shown("run_1", 7, MessageDelta("a\nb\u2028c\r\n"))
    assert "\n" not in shown.data
    assert "\r" not in shown.data
    assert json.loads(shown.data) == {"v": 1, "run_id": "run_1", "delta": "a\nb\u2028c\r\n"}


def test_every_kind_of_frame_has_a_name_of_its_own() -> None:
    names = [kind.name for kind in get_args(AnyFrame)]
    assert len(names) == len(set(names)) > 8
    assert set(names) >= frames.LAST
