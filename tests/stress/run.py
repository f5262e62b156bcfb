"""One time of stress, from an empty folder to the count."""

import asyncio
import random
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.stress import reckoning
from tests.stress.customers import DESIGN, Customer, Tally
from tests.stress.plant import Plant
from tests.stress.trouble import Trouble

ENDS_WITHIN_SECONDS = 60


@dataclass(frozen=True)
class Outcome:
    wrong: list[str]
    """Everything that is not as it must be."""
    figures: dict[str, int]
    complaints: str


async def stress(
    folder: Path,
    *,
    seconds: float,
    seed: int,
    outage: float = 0,
    servers: int = 2,
    engines: int = 1,
    customers: int = 8,
) -> Outcome:
    """Make trouble for so many seconds while customers work, wait for all runs to end, and count."""
    chance, tally = random.Random(seed), Tally()
    plant = Plant(folder, servers, engines)
    trouble = Trouble(plant, chance)
    async with plant.running():
        token = (await asyncio.to_thread(plant.servers[0].bootstrap))["tenant_token"]
        stop = asyncio.Event()
        working = [
            asyncio.create_task(_customer(f"c{number}", plant, token, chance.random(), tally, stop))
            for number in range(customers)
        ]
        await trouble.make(seconds, outage)
        stop.set()
        stuck = await _ended(plant, working)
        url = plant.cluster.url
        figures = reckoning.figures(url) | trouble.done | tally.seen | tally.waited()
        return Outcome([*stuck, *reckoning.found(url, tally)], figures, reckoning.logs(folder))


async def _customer(name: str, plant: Plant, token: str, seed: float, tally: Tally, stop: asyncio.Event) -> None:
    urls = [server.url for server in plant.servers]
    async with httpx.AsyncClient(base_url=urls[0], headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        while True:
            try:
                made = await client.post("/v1/smiths", json=DESIGN, headers={"Idempotency-Key": name})
                made.raise_for_status()
                break
            except httpx.HTTPError:
                await asyncio.sleep(0.3)
    await Customer(name, urls, token, random.Random(seed), tally).take_turns(made.json()["id"], stop)


async def _ended(plant: Plant, working: list["asyncio.Task[None]"]) -> list[str]:
    """Wait for all customers to have heard their runs out, and for all runs to end; return what went wrong with it."""
    until = time.monotonic() + ENDS_WITHIN_SECONDS
    done, waiting = await asyncio.wait(working, timeout=ENDS_WITHIN_SECONDS)
    wrong = [f"a customer failed: {task.exception()!r}" for task in done if task.exception()]
    for task in waiting:
        task.cancel()
        wrong.append("a customer still waits for its run to end")
    while reckoning.left(plant.cluster.url) and time.monotonic() < until:  # noqa: ASYNC110 - looks from outside
        await asyncio.sleep(0.2)
    return wrong
