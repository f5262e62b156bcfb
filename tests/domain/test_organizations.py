"""Organizations: founded once by name, with keys of their own."""

from ingram_app.core.database import NOBODY, transaction
from ingram_app.domain import keyrings, organizations
from tests.world import World


async def test_one_is_founded_and_then_adopted_by_name(world: World) -> None:
    ids = []
    for _ in range(2):
        async with transaction(NOBODY) as session:
            ids.append((await organizations.adopt(session, "Adopted")).id)
    assert ids[0] == ids[1]


async def test_it_has_keys_from_the_start(world: World) -> None:
    async with transaction(NOBODY) as session:
        made = await organizations.create(session, "With keys")
        assert (await keyrings.find(session, made.id)).unseal is not None
