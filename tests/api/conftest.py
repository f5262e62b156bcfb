"""A client for each who may knock at the API."""

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
from granian.constants import Interfaces
from granian.server.embed import Server

from tests.world import Client, Person, Tenant, World, until


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


@pytest.fixture
async def slow(project: Tenant) -> Person:
    return await project.person(model="test/slow")


@pytest.fixture
async def online(address: str, slow: Person) -> AsyncIterator[httpx.AsyncClient]:
    """The end user's own client, with the smith's token, on the network."""
    headers = {"Authorization": f"Bearer {slow.token}"}
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=20) as client:
        yield client


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


@pytest.fixture(scope="module")
async def address(world: World) -> AsyncIterator[str]:
    """The address of a real server in this very process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(world.app, address="127.0.0.1", port=port, interface=Interfaces.ASGI)
    serving = asyncio.create_task(server.serve())

    async def answers() -> bool:
        async with httpx.AsyncClient() as client:
            try:
                return (await client.get(f"http://127.0.0.1:{port}/health")).is_success
            except httpx.TransportError:
                return False

    await until(answers)
    yield f"http://127.0.0.1:{port}"
    server.stop()
    await asyncio.wait({serving}, timeout=5)
