"""Activity: what a smith did of late, and nothing of its siblings."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from ingram_app.core.clock import now
from ingram_app.core.database import transaction
from ingram_app.domain import activity
from ingram_app.domain.access import Caller, SmithMismatch
from tests.world import Tenant, World


async def test_it_counts_a_smith_s_runs_since_a_moment_and_shows_the_newest(
    world: World, tenant: Caller, project: Tenant
) -> None:
    smith, sibling = await project.smith(), await project.smith()
    await project.run(sibling["id"], "a sibling's")
    made = [await project.run(smith["id"], said) for said in ("one", "two three")]
    world.do("update runs set created_at = now() - interval '40 days' where id = %s", made[0]["id"])
    world.do("update runs set status = 'failed', cost_micros = 700 where id = %s", made[1]["id"])
    async with transaction(tenant.tenancy) as session:
        did = await activity.of(session, tenant, smith["id"], now() - timedelta(days=30))
    assert did.last is not None
    assert did.last.id == made[1]["id"]
    assert (did.runs, did.failed, did.tokens, did.cost_micros) == (1, 1, 4, 700)


async def test_a_smith_sees_its_own_alone(of_smith: Callable[..., Caller], project: Tenant) -> None:
    smith, sibling = await project.smith(), await project.smith()
    caller = of_smith(smith["id"], "runs:read")
    async with transaction(caller.tenancy) as session:
        assert (await activity.of(session, caller, smith["id"], now())).last is None
        with pytest.raises(SmithMismatch):
            await activity.of(session, caller, sibling["id"], now())
