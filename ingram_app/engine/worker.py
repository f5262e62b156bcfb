"""The worker of a process: carries runs that are born here, that wait, or that were left behind by others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ingram_app.core import process, signals
from ingram_app.core.settings import settings
from ingram_app.domain import runs
from ingram_app.domain.runs import Birth, Run
from ingram_app.engine import (
    adding,
    courier,
    crew,
    expiry,
    exporter,
    folding,
    guards,
    mailer,
    pusher,
    remembering,
    shelf,
    sweeping,
)
from ingram_app.engine.dispatcher import Dispatcher
from ingram_app.gateways import mcp, outbound


@asynccontextmanager
async def working(*, interactive: bool) -> AsyncIterator[None]:
    """Work while the block lasts. With `interactive`, also on the runs that are born in this process, or go on here."""
    process.SEATS.open = settings().runs_per_process if interactive else 0
    dispatcher = Dispatcher(settings().queued_runs_per_process)
    loops = [
        signals.relay_forever(),
        _carry_born(),
        guards.watch_forever(),
        sweeping.sweep_forever(),
        sweeping.sweep_old_forever(),
        expiry.expire_forever(),
        courier.deliver_forever(),
        exporter.export_forever(),
        mailer.send_forever(),
        pusher.push_forever(),
        folding.fold_forever(),
        remembering.remember_forever(),
        adding.add_up_forever(),
        shelf.tidy_forever(),
    ]
    tasks = [asyncio.create_task(loop) for loop in loops]
    dispatching = [asyncio.create_task(loop) for loop in (dispatcher.take_up_forever(), dispatcher.recover_forever())]
    process.settle()
    try:
        yield
    finally:
        process.SEATS.open = 0
        await dispatcher.stop(dispatching)
        await _end(tasks)
        await crew.disperse()
        await signals.all_sent()
        await mcp.close()
        await outbound.close()


async def _carry_born() -> None:
    with signals.listening(runs.BORN) as born:
        while True:
            work = await born.get()
            if isinstance(work, Birth | Run):
                process.SEATS.taken += 1
                crew.begin(work, _leave_seat)


def _leave_seat() -> None:
    process.SEATS.taken -= 1


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
