"""Readings bring the same rows as the mapper does, without it."""

from datetime import UTC

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select

from ingram_app.core.clock import now
from ingram_app.core.database import Tenancy, transaction
from ingram_app.core.readings import Prepared, Reading, columns, made
from ingram_app.domain.runs import Run, RunStatus
from ingram_app.domain.smiths import Smith
from tests.world import Tenant

RUNS: Reading[Run] = Reading(select(Run).where(Run.smith_id == sa.bindparam("smith_id")).order_by(Run.id))
WITH_RUNS: Reading[tuple[Smith, Run | None]] = Reading(
    select(Smith, Run).outerjoin(Run, col(Run.smith_id) == Smith.id).where(Smith.id == sa.bindparam("id"))
)
RENAME = Prepared(sa.update(Smith).where(col(Smith.id) == sa.bindparam("which")).values(about=sa.bindparam("about")))


async def test_a_reading_brings_what_the_mapper_would(project: Tenant) -> None:
    smith = await project.smith(external_id="someone")
    for said in ("one", "two"):
        await project.run(smith["id"], said, metadata={"said": said})
    async with transaction(Tenancy(project_id=project.id)) as session:
        read = await RUNS.all(session, smith_id=smith["id"])
        mapped = (await session.exec(select(Run).where(Run.smith_id == smith["id"]).order_by(Run.id))).all()
    assert [run.model_dump() for run in read] == [run.model_dump() for run in mapped]
    assert read[0].status is RunStatus.completed
    assert read[0].created_at.tzinfo is UTC
    assert read[1].about == {"said": "two"}


async def test_what_an_outer_join_does_not_find_is_none(project: Tenant) -> None:
    smith = await project.smith()
    async with transaction(Tenancy(project_id=project.id)) as session:
        found = await WITH_RUNS.first(session, id=smith["id"])
        assert found is not None
        assert (found[0].id, found[1]) == (smith["id"], None)
        assert await WITH_RUNS.first(session, id="smt_1") is None


async def test_what_was_read_can_not_slip_into_a_session_s_changes(project: Tenant) -> None:
    smith = await project.smith()
    async with transaction(Tenancy(project_id=project.id)) as session:
        found = await WITH_RUNS.first(session, id=smith["id"])
        assert found is not None
        found[0].locale = "xx"
    assert (await project.api.get(f"/v1/smiths/{smith['id']}")).json()["locale"] is None


async def test_a_prepared_statement_takes_python_s_values(project: Tenant, other: Tenant) -> None:
    smith, foreign = await project.smith(), await other.smith()
    async with transaction(Tenancy(project_id=project.id)) as session:
        assert (await RENAME.execute(session, {"which": smith["id"], "about": {"a": ["ü"]}})).rowcount == 1
        assert (await RENAME.execute(session, {"which": foreign["id"], "about": {}})).rowcount == 0
    assert (await project.api.get(f"/v1/smiths/{smith['id']}")).json()["metadata"] == {"a": ["ü"]}


async def test_a_prepared_statement_that_fails_tells_no_values(project: Tenant) -> None:
    with pytest.raises(DBAPIError) as failed:
        async with transaction(Tenancy(project_id=project.id)) as session:
            await RENAME.execute(session, {"which": "my diary\0", "about": {}})
    assert "my diary" not in str(failed.value)


def test_what_is_made_is_what_its_class_makes() -> None:
    given = {"id": "run_1", "created_at": now(), "updated_at": now(), "model": "test/echo", "input": [{"role": "user"}]}
    run, like = made(Run, **given), Run(**given)
    assert columns(run) == columns(like)
    assert run.warnings is not made(Run, **given).warnings
    run.status = RunStatus.failed
    assert run.over
