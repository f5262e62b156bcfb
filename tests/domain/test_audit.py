"""What was done stays written down, with who did it and from where."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ingram_app.core.database import transaction
from ingram_app.core.errors import IngramError
from ingram_app.domain import audit, tokens
from ingram_app.domain.access import ORGANIZATION, Actor, Caller
from tests.world import Tenant, World, ok


async def test_a_deed_is_noted_with_its_actor_and_where_it_came_from(project: Tenant, above: Caller) -> None:
    made = await project.smith(external_id="noted")
    async with transaction(above.tenancy) as session:
        [entry] = (await audit.browse(session, above, resource_id=made["id"])).data
    assert (entry.action, entry.details) == ("smith.created", {})
    assert (entry.project_id, entry.actor["kind"], entry.address) == (project.id, "tenant", "127.0.0.1")
    assert entry.actor["token_id"].startswith("tok_")


async def actions(above: Caller, **asked: str) -> list[str]:
    async with transaction(above.tenancy) as session:
        return [entry.action for entry in (await audit.browse(session, above, **asked)).data]


async def test_what_is_done_to_projects_settings_and_keys_is_noted(world: World, above: Caller) -> None:
    tenant = await world.tenant("Noted")
    assert await actions(above, resource_id=tenant.id) == ["project.settings_changed", "project.created"]
    ok(await tenant.api.put("/v1/tenant/model_keys/openai", json={"api_key": "sk-never-noted"}))
    ok(await tenant.api.delete("/v1/tenant/model_keys/openai"))
    assert await actions(above, action="model_key") == ["model_key.removed", "model_key.set"]
    ok(await world.organization_api.delete(f"/v1/organization/projects/{tenant.id}"))
    assert (await actions(above, resource_id=tenant.id))[0] == "project.deleted"
    async with transaction(above.tenancy) as session:
        key = await tokens.mint_for_organization(session, above, name="Automation")
        await tokens.revoke_key(session, above, key.token.id)
    noted = await actions(above, resource_id=key.token.id)
    assert noted == ["token.revoked", "token.minted"]
    held = str(world.ask("select a::text from audit a"))
    assert "sk-never-noted" not in held
    assert key.words not in held


async def test_it_is_asked_by_who_did_what_to_which(project: Tenant, above: Caller) -> None:
    made = await project.smith()
    both = [await actions(above, resource_id=made["id"], actor=one) for one in (project.id, "tok_of_another")]
    assert both == [["smith.created"], []]
    assert await actions(above, resource_id=made["id"], action="smith") == ["smith.created"]
    assert await actions(above, resource_id=made["id"], action="smith.c") == []


async def test_a_deed_that_fails_is_not_noted(project: Tenant, above: Caller, tenant: Caller) -> None:
    async def fail() -> None:
        async with transaction(tenant.tenancy) as session:
            await audit.note(session, tenant, "smith.created", "smt_nowhere")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with transaction(above.tenancy) as session:
        assert (await audit.browse(session, above, resource_id="smt_nowhere")).data == []


async def test_only_owners_and_admins_read_it(tenant: Caller) -> None:
    async with transaction(tenant.tenancy) as session:
        with pytest.raises(IngramError) as refused:
            await audit.browse(session, tenant)
    assert refused.value.code == "organization_required"


async def test_another_organization_s_deeds_are_not_seen(world: World, project: Tenant) -> None:
    made = await project.smith()
    organization_id, _ = await world.organization("Elsewhere")
    actor = Actor("organization", organization_id)
    stranger = Caller(actor, frozenset({ORGANIZATION}), organization_id=organization_id)
    async with transaction(stranger.tenancy) as session:
        assert (await audit.browse(session, stranger, resource_id=made["id"])).data == []


@pytest.mark.parametrize("deed", ["update audit set action = 'x'", "delete from audit"])
async def test_it_can_be_neither_rewritten_nor_emptied(project: Tenant, tenant: Caller, deed: str) -> None:
    await project.smith()
    with pytest.raises(DBAPIError, match="what was done can not be changed"):
        async with transaction(tenant.tenancy) as session:
            await session.execute(text(deed))


async def test_it_goes_with_its_organization(world: World) -> None:
    organization_id, key = await world.organization("Short-lived")
    tenant = await world.tenant("Gone", world.client(key))
    await tenant.smith()
    assert world.ask("select count(*) from audit where organization_id = %s", organization_id) != [(0,)]
    world.do("delete from smiths where project_id = %s", tenant.id)
    world.do("delete from organizations where id = %s", organization_id)
    assert world.ask("select count(*) from audit where organization_id = %s", organization_id) == [(0,)]
