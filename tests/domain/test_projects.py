"""Projects: who may stand in one, and what a role may do there."""

import asyncio

import pytest

from ingram_app.core.database import NOBODY, Tenancy, transaction
from ingram_app.core.errors import NotFound
from ingram_app.domain import agents, projects, teammates
from ingram_app.domain.access import AdminRequired, Caller, InsufficientScope, Role, SmithMismatch
from ingram_app.domain.projects import ProjectNameTaken
from ingram_app.domain.teammates import Teammate
from tests.world import World


async def teammate(world: World, role: Role, organization_id: str | None = None) -> Teammate:
    async with transaction(NOBODY) as session:
        owner = organization_id or world.organization_id
        made = await teammates.adopt(session, owner, f"{role}-{owner}@example.com")
        made.role = role
        return made


@pytest.mark.parametrize(
    ("role", "reads", "builds", "administers"),
    [
        (Role.viewer, True, False, False), (Role.member, True, True, False),
        (Role.admin, True, True, True), (Role.owner, True, True, True),
    ],
)  # fmt: skip
async def test_a_role_may_do_what_it_says(
    world: World, role: Role, reads: bool, builds: bool, administers: bool
) -> None:
    who = await teammate(world, role)

    async def may(deed: str) -> bool:
        try:
            async with transaction(NOBODY) as session:
                caller = await projects.standing(session, who, world.project.id)
            async with transaction(caller.tenancy) as session:
                if deed == "read":
                    await agents.browse(session, caller)
                elif deed == "build":
                    await agents.create(session, caller, name="Made")
                else:
                    await projects.create_or_adopt(session, caller, "Made")
        except (InsufficientScope, AdminRequired):
            return False
        return True

    assert [await may(deed) for deed in ("read", "build", "administer")] == [reads, builds, administers]


async def test_nobody_stands_in_another_organization_s_project(world: World) -> None:
    other_id, _ = await world.organization("Others")
    stranger = await teammate(world, Role.owner, other_id)
    with pytest.raises(NotFound):
        async with transaction(NOBODY) as session:
            await projects.standing(session, stranger, world.project.id)
    async with transaction(NOBODY) as session:
        assert await projects.of_teammate(session, stranger) == []


async def test_a_project_is_renamed_to_a_free_name(world: World, tenant: Caller) -> None:
    async with transaction(tenant.tenancy) as session:
        assert (await projects.rename(session, tenant, " Renamed ")).name == "Renamed"
    above = Tenancy(project_id=world.project.id, organization_id=world.organization_id)
    with pytest.raises(ProjectNameTaken):
        async with transaction(above) as session:
            await projects.rename(session, tenant, "Two")


async def test_a_rename_that_races_with_a_create_leaves_one_of_that_name(
    world: World, tenant: Caller, above: Caller
) -> None:
    async def create() -> None:
        async with transaction(above.tenancy) as session:
            await projects.create_or_adopt(session, above, "Contested")

    async def rename() -> None:
        async with transaction(tenant.tenancy) as session:
            await projects.rename(session, tenant, "Contested")

    done = await asyncio.gather(create(), rename(), return_exceptions=True)
    assert all(one is None or isinstance(one, ProjectNameTaken) for one in done), done
    assert world.ask("select count(*) from projects where name = 'Contested'") == [(1,)]


def test_a_smith_s_caller_acts_for_none_but_it(of_smith) -> None:  # type: ignore[no-untyped-def]
    caller = of_smith("smt_1", "runs:read")
    caller.require_own("smt_1")
    with pytest.raises(SmithMismatch):
        caller.require_own("smt_2")
