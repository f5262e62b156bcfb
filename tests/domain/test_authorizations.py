"""Authorizations: those that nobody came back on do not pile up."""

import sqlalchemy as sa

from ingram_app.core.database import transaction
from ingram_app.domain import authorizations, oauth_providers, smiths
from ingram_app.domain.access import Caller
from tests.world import World


async def test_a_link_that_is_over_goes_when_the_next_is_made(world: World, tenant: Caller) -> None:
    async with transaction(tenant.tenancy) as session:
        await oauth_providers.put(session, tenant, "github", {"client_id": "us", "client_secret": "s"})
        clone, _ = await smiths.create(session, tenant, {})
        for _ in range(3):
            await authorizations.begin(session, tenant, clone.smith.id, "github")
        await session.execute(sa.text("update authorizations set expires_at = now() - interval '1 second'"))
    async with transaction(tenant.tenancy) as session:
        await authorizations.begin(session, tenant, clone.smith.id, "github")
    assert world.ask("select count(*) from authorizations where smith_id = %s", clone.smith.id) == [(1,)]
