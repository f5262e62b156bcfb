"""Whatever dies, the run that was on its way ends as if nothing had happened, and so does its stream."""

import asyncio
import signal
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from ingram_app.core.cluster import Cluster
from tests.engine.client import Client, Story, hear
from tests.serving import Serving, until

SAID = "[[words 60]] [[pause 40ms]] what was said is said once"
"""Answered by test/slow in some two and a half seconds."""


class Installation:
    """A serving process, one project, and a smith that answers slowly."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving

    async def found(self) -> "Installation":
        self.token = (await asyncio.to_thread(self.serving.bootstrap))["tenant_token"]
        self.client = Client(self.serving.url, self.token)
        self.smith_id = await self.client.smith("test/slow")
        return self

    async def break_off(self, deltas: int = 8) -> Story:
        """Start a run and hear it up to the middle of its answer."""
        story = Story()
        async with aclosing(self.client.stream(self.smith_id, SAID)) as frames:
            await hear(story, frames, deltas)
        return story

    async def break_off_in_background(self) -> Story:
        """The same for a run that a job hands over."""
        story = Story()
        run = await self.client.run(self.smith_id, SAID, background=True)
        async with aclosing(self.client.follow(self.smith_id, run["id"])) as frames:
            await hear(story, frames, 3)
        return story

    async def completes(self, story: Story) -> None:
        """The same run comes to its end, and whoever heard its beginning hears the rest."""
        async with asyncio.timeout(20):
            await self.client.finish(self.smith_id, story)
        assert story.is_whole()
        run = await self.client.find(self.smith_id, story.run_id)
        assert (run["status"], run["output"]["content"]) == ("completed", story.words)
        assert run["warnings"] == []


@pytest.fixture(scope="module")
async def installation(folder: Path) -> AsyncIterator[Installation]:
    serving = Serving(folder / "crash", IC_RUN_LEASE_SECONDS="1")
    serving.start()
    installation = await Installation(serving).found()
    yield installation
    await installation.client.close()
    serving.stop()


async def test_runs_survive_the_server_that_is_killed_in_the_middle_of_their_answers(
    installation: Installation,
) -> None:
    waited_for, handed_over = await asyncio.gather(installation.break_off(), installation.break_off_in_background())
    installation.serving.kill()
    installation.serving.start()
    await asyncio.gather(installation.completes(waited_for), installation.completes(handed_over))


async def test_a_run_survives_its_worker(installation: Installation) -> None:
    story = await installation.break_off()
    worker = installation.serving.worker
    worker.kill()
    until(lambda: installation.serving.healthy and installation.serving.worker.pid != worker.pid, 20)
    await installation.completes(story)


async def test_a_run_goes_on_after_an_orderly_restart(installation: Installation) -> None:
    story = await installation.break_off()
    installation.serving.stop(signal.SIGTERM)
    installation.serving.start()
    await installation.completes(story)


async def test_a_run_survives_postgresql(installation: Installation) -> None:
    story = await installation.break_off()
    installation.serving.postgres.kill()
    with Cluster(installation.serving.data / "postgres").running():
        await installation.completes(story)


@asynccontextmanager
async def neighbour(installation: Installation, folder: Path, name: str) -> AsyncIterator[Client]:
    """Another server on the same database."""
    with Cluster(installation.serving.data / "postgres").running() as url:
        serving = Serving(folder / name, IC_DATABASE_URL=url, IC_RUN_LEASE_SECONDS="1").start()
        there = Client(serving.url, installation.token)
        try:
            yield there
        finally:
            await there.close()
            serving.stop()


async def test_what_one_server_says_is_heard_at_another_at_once(installation: Installation, folder: Path) -> None:
    async with neighbour(installation, folder, "hearing") as there:
        run = await installation.client.run(installation.smith_id, SAID, background=True)
        clients = (installation.client, there)
        told = await asyncio.gather(*(_times(client, installation.smith_id, run["id"]) for client in clients))
    assert told[0].keys() == told[1].keys()
    between = [abs(told[0][seq] - told[1][seq]) for seq in told[0] if seq > 1]
    assert statistics.median(between) < 0.1


async def test_a_turn_at_one_server_interrupts_the_one_that_another_carries(
    installation: Installation, folder: Path
) -> None:
    async with neighbour(installation, folder, "pressing") as there:
        story = Story()
        async with aclosing(installation.client.stream(installation.smith_id, SAID, thread_id="t")) as frames:
            await hear(story, frames, 3)
            begun = time.monotonic()
            pressing = {"thread_id": "t", "on_busy": "interrupt"}
            answered = await there.run(installation.smith_id, "[[pause 0ms]] in its place", **pressing)
            assert time.monotonic() - begun < 1  # a fraction of what the first would have taken
            story.frames += [frame async for frame in frames]
    assert story.frames[-1].event == "run.cancelled"
    assert answered["output"]["content"] == "in its place"


async def _times(client: Client, smith_id: str, run_id: str) -> dict[int, float]:
    """Return when each frame came."""
    return {frame.seq: time.monotonic() async for frame in client.follow(smith_id, run_id)}
