"""A prompt is for whoever may see the run's trace, and for nobody else. What is in it: tests/api/test_traces.py."""

import pytest

from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound, Refused
from ingram_app.domain import prompts
from ingram_app.domain.access import TENANT, Actor, Caller
from tests.world import Tenant


async def test_a_prompt_of_another_project_is_not_there(project: Tenant, other: Tenant) -> None:
    run = await project.run((await project.smith())["id"])
    stranger = Caller(Actor("tenant", other.id), frozenset({TENANT}), project_id=other.id)
    with pytest.raises(NotFound):
        async with transaction(stranger.tenancy) as session:
            await prompts.of_run(session, stranger, run["id"])


async def test_a_prompt_needs_the_permission(project: Tenant) -> None:
    run = await project.run((await project.smith())["id"])
    reader = Caller(Actor("tenant", project.id), frozenset({"runs:read"}), project_id=project.id)
    with pytest.raises(Refused):
        async with transaction(reader.tenancy) as session:
            await prompts.of_run(session, reader, run["id"])
