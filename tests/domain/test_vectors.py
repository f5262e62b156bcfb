"""Vectors: one of each model for a thing, and the model that knows most serves."""

import pytest

from ingram_app.core.database import transaction
from ingram_app.domain import vectors
from ingram_app.domain.access import Caller
from ingram_app.domain.vectors import Unembedded
from tests.world import Tenant, World, ok

OLD, NEW = "local/old", "local/new"


@pytest.fixture
async def facts(project: Tenant) -> tuple[str, list[Unembedded]]:
    """A smith with three facts that nothing embeds."""
    ok(await project.api.patch("/v1/tenant/settings", json={"embedding_model": "nobody/knows"}))
    smith = await project.smith()
    path = f"/v1/smiths/{smith['id']}/memories"
    made = [ok(await project.api.post(path, json={"content": content})) for content in ("one", "two", "three")]
    return smith["id"], [Unembedded(fact["id"], fact["content"]) for fact in made]


async def keep(tenant: Caller, smith_id: str, model: str, *things: Unembedded) -> None:
    async with transaction(tenant.tenancy) as session:
        pairs = [(thing, [1.0, 0.0]) for thing in things]
        await vectors.keep(session, tenant.project_id, smith_id, "fact", model, pairs)


async def serving(tenant: Caller, smith_id: str) -> str | None:
    async with transaction(tenant.tenancy) as session:
        return await vectors.serving(session, tenant.project_id, smith_id, "fact", NEW)


async def lacking(tenant: Caller, smith_id: str, model: str) -> list[str]:
    async with transaction(tenant.tenancy) as session:
        found = await vectors.lacking(session, tenant.project_id, smith_id, "fact", model, 10)
    return sorted(thing.content for thing in found)


async def test_the_old_model_serves_until_the_new_one_has_caught_up(
    tenant: Caller, facts: tuple[str, list[Unembedded]]
) -> None:
    smith_id, things = facts
    assert await serving(tenant, smith_id) is None
    await keep(tenant, smith_id, OLD, *things)
    await keep(tenant, smith_id, NEW, *things[:2])
    assert await serving(tenant, smith_id) == OLD
    assert await lacking(tenant, smith_id, NEW) == ["three"]
    await keep(tenant, smith_id, NEW, things[2])
    assert await serving(tenant, smith_id) == NEW


async def test_what_has_changed_meanwhile_is_not_kept(
    world: World, project: Tenant, tenant: Caller, facts: tuple[str, list[Unembedded]]
) -> None:
    smith_id, things = facts
    changed = f"/v1/smiths/{smith_id}/memories/{things[0].id}"
    ok(await project.api.patch(changed, json={"content": "one more"}))
    await keep(tenant, smith_id, NEW, things[0])
    assert await lacking(tenant, smith_id, NEW) == ["one more", "three", "two"]


async def test_what_changes_later_is_embedded_anew(
    project: Tenant, tenant: Caller, facts: tuple[str, list[Unembedded]]
) -> None:
    smith_id, things = facts
    await keep(tenant, smith_id, NEW, *things)
    ok(await project.api.patch(f"/v1/smiths/{smith_id}/memories/{things[0].id}", json={"content": "one more"}))
    assert await lacking(tenant, smith_id, NEW) == ["one more"]


async def test_a_vector_goes_with_its_fact(
    world: World, project: Tenant, facts: tuple[str, list[Unembedded]], tenant: Caller
) -> None:
    smith_id, things = facts
    await keep(tenant, smith_id, NEW, *things)
    assert (await project.api.delete(f"/v1/smiths/{smith_id}/memories/{things[0].id}")).status_code == 204
    assert world.ask("select count(*) from vectors where smith_id = %s", smith_id) == [(2,)]
