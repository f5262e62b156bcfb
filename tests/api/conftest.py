"""A client for each who may knock at the API."""

import pytest

from tests.world import Client, Person, Tenant, World


@pytest.fixture(scope="module")
async def api(project: Tenant) -> Client:
    """The project's tenant-admin."""
    return project.api


@pytest.fixture(scope="module")
async def other_api(other: Tenant) -> Client:
    """The tenant-admin of another project."""
    return other.api


@pytest.fixture(scope="module")
async def smith(project: Tenant) -> Person:
    """One end user's smith, whose token carries every permission."""
    return await project.person(external_id="user-1")


@pytest.fixture(scope="module")
async def smith_api(smith: Person) -> Client:
    return smith.api


@pytest.fixture(scope="module")
async def organization_api(world: World) -> Client:
    return world.organization_api


@pytest.fixture(scope="module")
async def nobody(world: World) -> Client:
    """One without a token."""
    return world.nobody
