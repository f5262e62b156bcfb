"""Many processes on one PostgreSQL: each is like the other, and clients go from one to the next."""

import asyncio
import signal
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest

from tests.engine.client import Client, Heard, Story, hear
from tests.serving import Serving

SAID = "[[words 40]] [[pause 50ms]] heard here as there"


class Pair:
    """Two serving processes and a client of each."""

    def __init__(self, servers: list[Serving], token: str) -> None:
        self.servers = servers
        self.clients = [Client(server.url, token) for server in servers]
        self.token = token


@pytest.fixture(scope="module")
async def pair(fresh_database: str, folder: Path) -> AsyncIterator[Pair]:
    mine = {"IC_DATABASE_URL": fresh_database, "IC_MASTER_KEY": "ab" * 32, "IC_RUN_LEASE_SECONDS": "1"}
    servers = [Serving(folder / name, "--api-only", **mine) for name in ("first", "second")]
    await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))
    pair = Pair(servers, (await asyncio.to_thread(servers[0].bootstrap))["tenant_token"])
    yield pair
    for client, server in zip(pair.clients, servers, strict=True):
        await client.close()
        server.stop()


async def test_frames_of_another_process_come_within_a_tenth_of_a_second(pair: Pair) -> None:
    """In one go of three: in the others the machine may have been busy with something else."""
    goes = 3
    while (slowest := await _lateness(pair)) >= 0.1 and (goes := goes - 1):
        pass
    assert slowest < 0.1


async def _lateness(pair: Pair) -> float:
    """Return by how many seconds, for 19 of 20 frames, another process is later than the one that carries the run."""
    here, there = pair.clients
    smith_id = await here.smith("test/slow")
    came: dict[int, float] = {}
    late: list[float] = []
    begun: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def at_home() -> None:
        async for frame in here.stream(smith_id, SAID):
            came[frame.seq] = time.perf_counter()
            if not begun.done():
                begun.set_result(frame.data["run_id"])

    async def elsewhere() -> None:
        async for frame in there.follow(smith_id, await begun):
            late.append(time.perf_counter() - came.get(frame.seq, time.perf_counter()))

    await asyncio.gather(at_home(), elsewhere())
    assert len(late) == len(came) > 20
    return statistics.quantiles(late, n=20)[-1]


async def test_a_run_that_waits_is_carried_by_whoever_is_there(pair: Pair) -> None:
    here, there = pair.clients
    smith_id = await here.smith("test/echo")
    started = [await client.run(smith_id, "hello", background=True) for client in (here, there) * 4]
    for run in started:
        story = Story()
        story.frames += [frame async for frame in there.follow(smith_id, run["id"])]
        assert story.is_whole()


async def test_a_rolling_restart_breaks_no_stream(pair: Pair) -> None:
    """Each server is restarted in turn; clients whose stream ends go on at the other one."""
    smith_id = await pair.clients[0].smith("test/slow")
    stories = [Story() for _ in range(6)]
    said = "[[words 80]] [[pause 50ms]] through two restarts and never twice"
    for number, story in enumerate(stories):
        async with aclosing(pair.clients[number % 2].stream(smith_id, said)) as frames:
            await hear(story, frames, 1)
    listening = [asyncio.create_task(_hear_out(pair, smith_id, story, number)) for number, story in enumerate(stories)]
    for server in pair.servers:
        await asyncio.to_thread(server.stop, signal.SIGTERM)
        await asyncio.to_thread(server.start)
    async with asyncio.timeout(30):
        await asyncio.gather(*listening)
    for story in stories:
        assert story.is_whole()
        run = await pair.clients[0].find(smith_id, story.run_id)
        assert (run["status"], run["warnings"]) == ("completed", [])


async def _hear_out(pair: Pair, smith_id: str, story: Story, number: int) -> None:
    """Hear the rest at the servers in turn, as often as it takes."""
    while not story.ended:
        number += 1
        try:
            frame: Heard
            async for frame in pair.clients[number % 2].follow(smith_id, story.run_id, story.place):
                story.frames.append(frame)
        except (httpx.TransportError, AssertionError):
            await asyncio.sleep(0.05)


async def test_without_the_console_there_are_no_pages(pair: Pair) -> None:
    async with httpx.AsyncClient(base_url=pair.servers[0].url) as client:
        assert (await client.get("/sign-in")).status_code == 404
        assert (await client.get("/v1/agents")).status_code == 401
        assert (await client.get("/ready")).json()["ok"] is True
