"""Lanes: what goes out to many others at once, each of whom has only itself to wait for.

Whoever is served holds its rows in the database, so that any number of processes may look for the same. Whoever comes
to be due while it is served is looked for again when its lane ends.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.database import Tenancy, dispatching, transaction

log = logging.getLogger(__name__)
_APART_SECONDS = 0.05
"""It is looked for at most so often."""

Lanes = dict[tuple[str, ...], asyncio.Task[None]]
Heard = asyncio.Queue[signals.Item]
Find = Callable[[AsyncSession, int], Awaitable[list[tuple[str, ...]]]]
Serve = Callable[..., Awaitable[bool]]
"""Tells whether there may be more for the same one at once, after others have had their turn."""
Took = TypeVar("Took")
Did = TypeVar("Did")


async def go_forever(find: Find, serve: Serve, *, most: int, seconds: float, told: tuple[str, ...] = ()) -> None:
    """Serve what the dispatcher finds, `most` at once, whenever something is `told` and at least every so many seconds.

    What is found are the words that `serve` takes.
    """
    lanes: Lanes = {}
    try:
        with signals.listening(*told) as heard:
            while True:
                try:
                    await _begin(lanes, heard, find, serve, most)
                except SQLAlchemyError as failed:
                    log.warning("could not look for what %s is for: %s", serve.__module__, failed)
                await asyncio.sleep(_APART_SECONDS)
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds * random.uniform(0.5, 1)):
                        await heard.get()
                while not heard.empty():
                    heard.get_nowait()
    finally:
        for lane in (going := list(lanes.values())):
            lane.cancel()
        await asyncio.gather(*going, return_exceptions=True)


async def or_let_go(
    tenancy: Tenancy,
    took: Took,
    doing: Coroutine[Any, Any, Did],
    let_go: Callable[[AsyncSession, Took], Awaitable[None]],
) -> Did:
    """Return what comes of an attempt; if this process ends in the middle of it, leave it to whoever comes next."""
    try:
        return await doing
    except asyncio.CancelledError:
        await asyncio.shield(_let_go(tenancy, took, let_go))
        raise


async def _let_go(tenancy: Tenancy, took: Took, let_go: Callable[[AsyncSession, Took], Awaitable[None]]) -> None:
    with suppress(SQLAlchemyError):
        async with transaction(tenancy) as session:
            await let_go(session, took)


async def _begin(lanes: Lanes, heard: Heard, find: Find, serve: Serve, most: int) -> None:
    if len(lanes) >= most:
        return
    async with dispatching() as session:
        found = await find(session, most)
    for which in found:
        if which in lanes:
            lanes[which].add_done_callback(lambda _: heard.put_nowait(None))
        elif len(lanes) < most:
            lanes[which] = lane = asyncio.create_task(_go(heard, serve, which))
            lane.add_done_callback(partial(_end, lanes, which))


def _end(lanes: Lanes, which: tuple[str, ...], _: asyncio.Task[None]) -> None:
    del lanes[which]


async def _go(heard: Heard, serve: Serve, which: tuple[str, ...]) -> None:
    """A lane that is lost never stops the others."""
    try:
        if await serve(*which):
            heard.put_nowait(None)
    except* SQLAlchemyError as failed:
        told = (serve.__module__, which[-1], failed.exceptions)
        log.warning("%s: %s is left to whoever takes it up again: %s", *told)
    except* Exception:
        log.exception("%s: the lane of %s was lost on the way", serve.__module__, which[-1])
