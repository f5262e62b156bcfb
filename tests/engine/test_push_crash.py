"""Whatever dies around a push, Stripe counts what was used, and counts it once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from ingram_app.core.cluster import Cluster
from tests.fakes.stripe_server import KEY, StripeServer, stripe
from tests.serving import Serving
from tests.world import until


class Installation:
    """A serving process with one project, whose customer is known at Stripe."""

    def __init__(self, serving: Serving, server: StripeServer, made: dict[str, str]) -> None:
        self.serving, self.server = serving, server
        headers = {"authorization": f"Bearer {made['tenant_token']}"}
        self.api = httpx.AsyncClient(base_url=serving.url, headers=headers, timeout=30)

    async def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = await self.api.post(path, json=body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    async def restart(self) -> None:
        """Kill the server and its workers as a lost machine would be, and start another."""
        await asyncio.to_thread(self.serving.kill)
        await asyncio.to_thread(self.serving.start)

    def end_holds(self) -> None:
        """Have what the dead held be due now, and not in a minute."""
        with Cluster(self.serving.data / "postgres").running() as url, psycopg.connect(url, autocommit=True) as owner:
            owner.execute("update pushes set next_attempt_at = now() where state = 'waiting'")


@pytest.fixture(scope="module")
async def installation(folder: Path) -> AsyncIterator[Installation]:
    async with stripe() as server:
        serving = Serving(folder / "push", IC_STRIPE_URL=server.address, IC_ALLOW_PRIVATE_ADDRESSES="true")
        await asyncio.to_thread(serving.start)
        made = await asyncio.to_thread(serving.bootstrap)
        installation = Installation(serving, server, made)
        (await installation.api.put("/v1/tenant/stripe", json={"api_key": KEY})).raise_for_status()
        yield installation
        await installation.api.aclose()
        await asyncio.to_thread(serving.stop)


@pytest.fixture
async def smith(installation: Installation) -> str:
    ids = {"stripe_customer_id": "cus_1"}
    customer = await installation.post("/v1/customers", name="Hotel", external_ids=ids)
    return str((await installation.post("/v1/smiths", customer_id=customer["id"]))["id"])


async def test_what_was_taken_at_stripe_when_the_server_was_killed_is_not_counted_again(
    installation: Installation, smith: str
) -> None:
    server = installation.server
    server.moods = ["swallow"]
    used = {"smith_id": smith, "meter": "pages", "quantity": 3}
    made = [(await installation.post("/v1/usage/events", **used))["id"] for _ in range(4)]

    async def under_way() -> bool:
        return server.silent == 1

    await until(under_way)
    await installation.restart()
    await asyncio.to_thread(installation.end_holds)

    async def all_came() -> bool:
        return set(server.taken) == set(made) and len(server.heard) >= 5

    await until(all_came, 60)
    assert server.total("pages") == 12


async def test_nothing_is_lost_that_was_counted_just_before_the_server_was_killed(
    installation: Installation, smith: str
) -> None:
    told: list[str] = []

    async def tell_on() -> None:
        while True:
            try:
                event = await installation.post("/v1/usage/events", smith_id=smith, meter="minutes", quantity=1)
            except httpx.TransportError:
                return
            told.append(event["id"])

    async def enough() -> bool:
        return len(told) >= 20

    telling = [asyncio.create_task(tell_on()) for _ in range(3)]
    await until(enough, 60)
    restarting = asyncio.create_task(installation.restart())
    await asyncio.gather(*telling)
    await restarting
    await asyncio.to_thread(installation.end_holds)

    async def all_came() -> bool:
        return set(told) <= set(installation.server.taken)

    await until(all_came, 60)
    kept = (await installation.api.get("/v1/usage/events", params={"meter": "minutes", "limit": 200})).json()["data"]

    async def as_many() -> bool:
        return installation.server.total("minutes") == len(kept)

    await until(as_many)
    assert set(told) <= {event["id"] for event in kept}
