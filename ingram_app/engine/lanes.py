"""Lanes: what goes out to many others at once, each of whom has only itself to wait for.

Whoever is served holds its row in the database, so that any number of processes may look for the same.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.database import dispatching

log = logging.getLogger(__name__)
_APART_SECONDS = 0.05
"""It is looked for at most so often."""

Heard = asyncio.Queue[signals.Item]
Find = Callable[[AsyncSession, int], Awaitable[list[tuple[str, ...]]]]
Serve = Callable[..., Awaitable[bool]]
"""Tells whether there may be more for the same one at once, after others have had their turn."""


async def go_forever(find: Find, serve: Serve, *, most: int, seconds: float, told: tuple[str, ...] = ()) -> None:
    """Serve what the dispatcher finds, `most` at once, whenever something is `told` and at least every so many seconds.

    What is found are the words that `serve` takes.
    """
    lanes: set[asyncio.Task[None]] = set()
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
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)


async def _begin(lanes: set[asyncio.Task[None]], heard: Heard, find: Find, serve: Serve, most: int) -> None:
    if len(lanes) >= most:
        return
    async with dispatching() as session:
        found = await find(session, most - len(lanes))
    for which in found:
        lane = asyncio.create_task(_go(heard, serve, which))
        lanes.add(lane)
        lane.add_done_callback(lanes.discard)


async def _go(heard: Heard, serve: Serve, which: tuple[str, ...]) -> None:
    """A lane that is lost never stops the others."""
    try:
        if await serve(*which):
            heard.put_nowait(None)
    except SQLAlchemyError as failed:
        log.warning("%s: %s is left to whoever takes it up again: %s", serve.__module__, which[-1], failed)
    except Exception:
        log.exception("%s: the lane of %s was lost on the way", serve.__module__, which[-1])
