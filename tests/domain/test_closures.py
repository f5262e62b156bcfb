"""A project that is closed takes its work down with it."""

from ingram_app.core.database import transaction
from ingram_app.domain import closures
from ingram_app.domain.access import Caller
from tests.world import World


async def test_whatever_waits_in_a_closed_project_is_stopped(world: World, above: Caller) -> None:
    tenant = await world.tenant("Closing")
    smith = await tenant.smith(model="test/tools", client_tools=[{"name": "weather"}])
    paused = await tenant.run(smith["id"], "[[call weather]]")
    assert paused["status"] == "paused_for_tool"
    queued = await tenant.run(smith["id"], thread_id=paused["thread_id"], background=True)
    other = await world.project.run((await world.project.smith())["id"])
    async with transaction(above.tenancy) as session:
        await closures.close(session, above, tenant.id)
    ids = [paused["id"], queued["id"]]
    rows = world.ask("select distinct status, cancel_reason from runs where id = any(%s)", ids)
    assert rows == [("cancelled", "The project was deleted.")]
    assert world.ask("select status from runs where id = %s", other["id"]) == [("completed",)]
