"""Keyrings: what one owner sealed opens for no other."""

import pytest

from ingram_app.core.database import Tenancy, transaction
from ingram_app.core.errors import NotFound
from ingram_app.core.secrets import StorageUnavailable
from ingram_app.core.settings import settings
from ingram_app.domain import keyrings
from ingram_app.domain.keyrings import Keyring
from tests.world import Tenant, World


async def ring_of(tenant: Tenant) -> Keyring:
    async with transaction(Tenancy(project_id=tenant.id)) as session:
        return await keyrings.find(session, tenant.id)


async def test_what_was_sealed_opens_again_and_is_never_sealed_alike(project: Tenant) -> None:
    ring = await ring_of(project)
    one, two = ring.seal(b"secret"), ring.seal(b"secret")
    assert one != two
    assert b"secret" not in one
    assert ring.unseal(one) == ring.unseal(two) == b"secret"


async def test_another_project_can_not_open_it(project: Tenant, other: Tenant) -> None:
    sealed = (await ring_of(project)).seal(b"secret")
    with pytest.raises(StorageUnavailable):
        (await ring_of(other)).unseal(sealed)


async def test_a_sealed_row_moved_to_another_owner_does_not_open(project: Tenant) -> None:
    ring = await ring_of(project)
    moved = Keyring(**(ring.model_dump() | {"owner_id": "proj_1111111111111111111111"}))
    with pytest.raises(StorageUnavailable):
        moved.unseal(ring.seal(b"secret"))


@pytest.mark.parametrize("place", [0, 12, -1])
async def test_a_changed_byte_does_not_open(project: Tenant, place: int) -> None:
    ring = await ring_of(project)
    sealed = bytearray(ring.seal(b"secret"))
    sealed[place] ^= 1
    with pytest.raises(StorageUnavailable):
        ring.unseal(bytes(sealed))


async def test_another_master_key_says_what_to_do(project: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = await ring_of(project)
    sealed = ring.seal(b"secret")
    with monkeypatch.context() as patch:
        patch.setenv("IC_MASTER_KEY", "ab" * 32)
        settings.cache_clear()
        with pytest.raises(StorageUnavailable, match="put it back"):
            ring.unseal(sealed)
    settings.cache_clear()
    assert ring.unseal(sealed) == b"secret"


async def test_each_project_has_keys_of_its_own(world: World, project: Tenant, other: Tenant) -> None:
    one, two = await ring_of(project), await ring_of(other)
    assert one.kid != two.kid
    assert one.public_key["n"] != two.public_key["n"]
    assert "d" not in one.public_key


async def test_the_keys_of_another_are_not_there(project: Tenant, other: Tenant) -> None:
    with pytest.raises(NotFound):
        async with transaction(Tenancy(project_id=project.id)) as session:
            await keyrings.find(session, other.id)
