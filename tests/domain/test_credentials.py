"""Credentials: what is shown when there is nothing to show."""

from ingram_app.core.database import transaction
from ingram_app.domain import connections, credentials, smiths
from ingram_app.domain.access import Caller


async def test_without_a_connection_there_is_no_token(tenant: Caller) -> None:
    async with transaction(tenant.tenancy) as session:
        clone, _ = await smiths.create(session, tenant, {})
    assert await credentials.token(tenant.project_id, clone.smith.id, "github") is None


async def test_a_connection_that_is_retired_gives_none(tenant: Caller) -> None:
    async with transaction(tenant.tenancy) as session:
        clone, _ = await smiths.create(session, tenant, {})
        credential = {"access_token": "t"}
        made = await connections.bring(session, tenant, clone.smith.id, "github", credential=credential)
    assert await credentials.token(tenant.project_id, clone.smith.id, "github") == "t"
    async with transaction(tenant.tenancy) as session:
        await connections.retire(session, tenant, clone.smith.id, made.id)
    assert await credentials.token(tenant.project_id, clone.smith.id, "github") is None
