"""Following a run or a thread: its frames as they come, some at a time; and a list that is told of changes."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Protocol, TypeVar

import reflex as rx

from ingram_app.console.session import standing
from ingram_app.core import signals
from ingram_app.domain import frames
from ingram_app.domain.frames import Shown


class _Row(Protocol):
    id: str


Told = TypeVar("Told")
Row = TypeVar("Row", bound=_Row)
_APART_SECONDS = 0.1
"""A page is changed at most so often."""
_LISTS_APART_SECONDS = 0.5
LOOK_AGAIN_SECONDS = 5
"""How long a tab may follow after its session has ended, whatever its browser is made to do."""


async def gulps(tab: rx.State, project_id: str, run_id: str) -> AsyncGenerator[list[Shown], None]:
    """Yield the run's frames, over all its pauses, until it ends: the first at once, others by and by."""
    async with aclosing(gulped(tab, _over_pauses(project_id, run_id))) as told:
        async for gulp in told:
            yield gulp


async def _over_pauses(project_id: str, run_id: str) -> AsyncGenerator[Shown | None]:
    """Yield a run's frames, those after a pause too, until it ends; `None` when it is quiet."""
    place = 0
    with signals.listening(frames.topic(run_id)) as more:
        while True:
            while not more.empty():
                more.get_nowait()
            async for frame in frames.follow(project_id, run_id, place):
                yield frame
                place = frame.seq if frame else place
            if await frames.told_all(project_id, run_id, place):
                return
            if await frames.heard_on(more) is frames.QUIET:
                yield None


async def gulped(tab: rx.State, following: AsyncIterator[Told | None]) -> AsyncGenerator[list[Told], None]:
    """Yield what is told, the first at once, the rest some at a time; a gulp is empty when it is quiet.

    Whoever calls has checked that it may be seen; whether somebody still sits at the tab is asked again and again.
    Raises `SignedOut`, `NotHere`.
    """
    looked = time.monotonic()
    heard: asyncio.Queue[Told | None] = asyncio.Queue()

    async def listen() -> None:
        async for told in following:
            heard.put_nowait(told)

    listening = asyncio.ensure_future(listen())
    listening.add_done_callback(lambda _: heard.put_nowait(None))
    try:
        while not (listening.done() and heard.empty()):
            gulp = [await heard.get()]
            while not heard.empty():
                gulp.append(heard.get_nowait())
            if time.monotonic() - looked >= LOOK_AGAIN_SECONDS:
                await standing(tab)
                looked = time.monotonic()
            yield [told for told in gulp if told is not None]
            await asyncio.sleep(_APART_SECONDS)
        if not listening.cancelled():
            listening.result()
    finally:
        listening.cancel()


async def stirred(
    heard: "asyncio.Queue[signals.Item]",
    within_seconds: float | None = None,
    apart_seconds: float = _LISTS_APART_SECONDS,
) -> None:
    """Return some time after something was heard, with all that came meanwhile; or when the time is over.

    So a list is read no more often than people can look.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(within_seconds):
            await heard.get()
    await asyncio.sleep(apart_seconds)
    while not heard.empty():
        heard.get_nowait()


def renew(rows: list[Row], shown: list[Row], now: dict[str, Row]) -> bool:
    """Put what has become of the rows shown in their place; what is gone goes. Tell whether they are shown still."""
    if [row.id for row in rows] != [row.id for row in shown]:
        return False
    for place, row in reversed(list(enumerate(shown))):
        if row.id not in now:
            del rows[place]
        elif now[row.id] != row:
            rows[place] = now[row.id]
    return True


async def arrived(tab: rx.State, is_here: Callable[[], bool]) -> None:
    """Wait for the tab's `load`, which runs beside: what is told before it would be wiped away by it."""
    with signals.listening(topic(tab)) as heard:
        while True:
            async with tab:
                if is_here():
                    return
            await heard.get()


def topic(tab: rx.State) -> str:
    """Return what a tab's `follow` listens to. All its events are handled by the one process it is connected to."""
    return f"tab:{tab.router.session.client_token}"
