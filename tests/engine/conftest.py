"""The world of the engine: a project with smiths on test models, and an engine that works in this process."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import process
from ingram_app.core.database import NOBODY, pool, transaction
from ingram_app.core.settings import settings
from ingram_app.domain import (
    answers,
    approvals,
    frames,
    leases,
    model_keys,
    organizations,
    projects,
    runs,
    smiths,
    tool_calls,
)
from ingram_app.domain.access import ORGANIZATION, TENANT, Actor, Caller
from ingram_app.domain.approvals import Approval
from ingram_app.domain.frames import Shown
from ingram_app.domain.runs import Run
from ingram_app.domain.tool_calls import ToolCall
from ingram_app.domain.turns import Turn
from ingram_app.engine import worker
from tests.fakes.model_server import running_model_server

LEASE_SECONDS = 1
Deed = Callable[[AsyncSession], Awaitable[Any]]


@dataclass
class World:
    """One project; every smith in it is new."""

    caller: Caller

    async def smith(self, model: str = "test/echo", **overrides: Any) -> str:
        """Make a smith; of one that is not on a test model nothing is learnt unasked, so that calls can be counted."""
        given = {"model": model, "auto_memory": model.startswith("test/"), **overrides}
        async with transaction(self.caller.tenancy) as session:
            clone, _ = await smiths.create(session, self.caller, given)
        return clone.smith.id

    async def prefer(self, **changes: Any) -> None:
        async with transaction(self.caller.tenancy) as session:
            await projects.prefer(session, self.caller, changes)

    async def key(self, provider: str, base_url: str) -> None:
        async with transaction(self.caller.tenancy) as session:
            await model_keys.put(session, self.caller, provider, api_key="sk-none", base_url=base_url)

    async def start(self, smith_id: str, said: str = "hello", **turn: Any) -> Run:
        async with transaction(self.caller.tenancy) as session:
            return await runs.start(session, self.caller, smith_id, Turn([{"role": "user", "content": said}], **turn))

    async def start_with(self, smith_id: str, input: list[dict[str, Any]], thread_id: str) -> Run:
        """Start a turn that says more than words."""
        async with transaction(self.caller.tenancy) as session:
            return await runs.start(session, self.caller, smith_id, Turn(input, thread_id=thread_id))

    async def cancel(self, run: Run, reason: str | None = None) -> Run:
        async with transaction(self.caller.tenancy) as session:
            return await runs.cancel(session, self.caller, run.smith_id, run.id, reason)

    async def asked(self, run: Run) -> list[Approval]:
        """Return the approvals that a run has asked for."""
        async with transaction(self.caller.tenancy) as session:
            return await approvals.of_run(session, run.project_id, run.id)

    async def calls(self, run: Run) -> list[ToolCall]:
        async with transaction(self.caller.tenancy) as session:
            return await tool_calls.of_run(session, run.project_id, run.id)

    async def decide(self, approval: Approval, decision: str = "approve", by: Caller | None = None, **more: Any) -> Run:
        caller = by or self.operator("ann")
        async with transaction(caller.tenancy) as session:
            which = (approval.smith_id, approval.run_id)
            terms = {"approval_id": approval.id, "decision": decision} | more
            return await answers.decide(session, caller, *which, **terms)

    async def give(self, run: Run, tool_call_id: str, result: Any, **more: Any) -> Run:
        async with transaction(self.caller.tenancy) as session:
            terms = {"tool_call_id": tool_call_id, "result": result, **more}
            return await answers.give(session, self.caller, run.smith_id, run.id, **terms)

    def operator(self, name: str) -> Caller:
        """Return a person of the team."""
        actor = Actor("operator", f"tm_{name}", email=f"{name}@example.com")
        return Caller(actor, frozenset({TENANT}), project_id=self.caller.project_id)

    async def row(self, run: Run) -> Run:
        async with transaction(self.caller.tenancy) as session:
            return await runs.look_up(session, self.caller, run.id)

    async def frames(self, run: Run, after: int = 0) -> list[Shown]:
        """Return the run's frames once it has ended or pauses."""
        async with asyncio.timeout(15):
            return [frame async for frame in frames.follow(run.project_id, run.id, after) if frame]

    async def ended(self, run: Run) -> Run:
        await self.frames(run)
        return await self.row(run)

    async def says(self, smith_id: str, said: str, **turn: Any) -> Run:
        """Run a turn to its end, or to where it pauses."""
        return await self.ended(await self.start(smith_id, said, **turn))

    async def sql(self, statement: str, **parameters: Any) -> Any:
        """Do something to the tables that no verb does."""
        async with transaction(self.caller.tenancy) as session:
            return await session.execute(sa.text(statement), parameters)

    def transaction(self) -> AbstractAsyncContextManager[AsyncSession]:
        return transaction(self.caller.tenancy)

    async def lose(self, run: Run) -> None:
        """Have a run that was claimed in this process look as if its carrier had died."""
        lost = "update runs set lease_owner = 'gone', lease_until = now() - interval '1 second' where id = :id"
        await self.sql(lost, id=run.id)

    async def overlap(self, first: Deed, second: Deed) -> None:
        """Do two deeds, each in a transaction: the second before the first has ended, for which it waits."""
        done, go_on = asyncio.Event(), asyncio.Event()

        async def begin() -> None:
            async with self.transaction() as session:
                await first(session)
                done.set()
                await go_on.wait()

        async def follow() -> None:
            await done.wait()
            async with self.transaction() as session:
                await second(session)

        async def waits() -> bool:
            return (await self.sql("select from pg_locks where not granted")).first() is not None

        both = asyncio.gather(begin(), follow())
        await until(waits)
        go_on.set()
        await both

    async def claim(self, run: Run) -> Run | None:
        async with transaction(self.caller.tenancy) as session:
            return await leases.claim(session, run.id)


@pytest.fixture(scope="module")
async def database(fresh_database: str) -> AsyncIterator[None]:
    """This file's database, and no connection to it left at the end."""
    os.environ["IC_RUN_LEASE_SECONDS"] = str(LEASE_SECONDS)
    settings.cache_clear()
    pool.cache_clear()
    yield
    await pool().dispose()
    pool.cache_clear()
    del os.environ["IC_RUN_LEASE_SECONDS"]


@pytest.fixture
async def world(database: None) -> World:
    return await project()


@pytest.fixture
async def other(database: None) -> World:
    """Another customer's project."""
    return await project()


async def project() -> World:
    async with transaction(NOBODY) as session:
        owner = await organizations.create(session, "Acme")
        above = Caller(Actor("organization", owner.id), frozenset({ORGANIZATION}), organization_id=owner.id)
        made = await projects.create_or_adopt(session, above, "Production")
    return World(Caller(Actor("tenant", made.id), frozenset({TENANT}), project_id=made.id))


@pytest.fixture
async def working(database: None) -> AsyncIterator[None]:
    """An engine that takes up what is born here, and what waits."""
    async with engine():
        yield


@pytest.fixture
def seats(database: None) -> Iterator[process.Seats]:
    """Room for runs that are born here, and no engine: they stay where they are."""
    process.SEATS.open = 64
    yield process.SEATS
    process.SEATS.open = 0


@pytest.fixture
async def server(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A model server that the project's `gpt-5.4-mini` is at; it tells what it was asked last."""
    monkeypatch.setenv("IC_ALLOW_PRIVATE_ADDRESSES", "true")
    settings.cache_clear()
    async with running_model_server() as address:
        await world.key("openai", f"{address}/v1")
        yield address
    monkeypatch.undo()
    settings.cache_clear()


@asynccontextmanager
async def engine(*, interactive: bool = True) -> AsyncIterator[None]:
    async with worker.working(interactive=interactive):
        yield


async def until(condition: Callable[[], Any], seconds: float = 10) -> None:
    """Wait for a condition, no longer than it takes."""
    async with asyncio.timeout(seconds):
        while not (await met if asyncio.iscoroutine(met := condition()) else met):  # noqa: ASYNC110 - looks from outside
            await asyncio.sleep(0.005)
