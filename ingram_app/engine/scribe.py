"""The scribe: writes a run's frames down as they come, a batch at each breath of the process.

The first is written at once if someone watches.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ingram_app.core import process
from ingram_app.domain import frames
from ingram_app.domain.frames import AnyFrame, MessageDelta, ReasoningDelta, Shown
from ingram_app.domain.leases import Lease
from ingram_app.engine import press


class Scribe:
    """The one writer of a run's frames; it numbers them."""

    def __init__(self, lease: Lease, latest: int) -> None:
        self._lease = lease
        self._latest = latest
        self._heard: list[AnyFrame] = []
        self._more = asyncio.Event()
        self._writing = asyncio.Lock()

    def say(self, *spoken: AnyFrame) -> None:
        """Have frames written soon. Words that follow words become one frame."""
        for frame in spoken:
            last = self._heard[-1] if self._heard else None
            if isinstance(frame, MessageDelta | ReasoningDelta) and type(last) is type(frame):
                self._heard[-1] = type(frame)(last.delta + frame.delta)
            else:
                self._heard.append(frame)
        self._more.set()

    async def write_on(self) -> None:
        """Write until cancelled. Raises `LeaseLost`."""
        while True:
            await self._more.wait()
            self._more.clear()
            if not frames.is_watched(self._lease.run_id):
                await asyncio.sleep(process.breath())  # the run may be over by then, and all is written together
            async with self.batch() as batch:
                if batch:
                    await press.keep(self._lease, batch)
            await process.breathe()

    async def stop(self, writing: "asyncio.Future[None]") -> None:
        """End `write_on`, never in the middle of a batch."""
        async with self._writing:
            writing.cancel()
        await asyncio.wait({writing})

    @asynccontextmanager
    async def batch(self, *last: AnyFrame) -> AsyncIterator[list[Shown]]:
        """Give all that is not yet written, and `last`, numbered. A block that fails has written nothing of it."""
        async with self._writing:
            heard, self._heard = self._heard, []
            numbered = enumerate([*heard, *last], self._latest + 1)
            shown = [frames.shown(self._lease.run_id, number, frame) for number, frame in numbered]
            try:
                yield shown
            except BaseException:
                self._heard = heard + self._heard
                raise
            self._latest += len(shown)
