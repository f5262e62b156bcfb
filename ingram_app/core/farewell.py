"""Ends what is still open when the server stops: an event stream or a tab's websocket would hold it up for ever.

The server waits for open requests before it lets the application shut down in order. Whoever stops a worker sends
it `SIGNAL` first; a moment later every request that is still under way is cancelled, and its client comes back
to whoever serves next.
"""

import asyncio
import signal

from starlette.types import ASGIApp, Receive, Scope, Send

SIGNAL = signal.SIGUSR1
_GRACE_SECONDS = 1


class Farewell:
    """The ASGI application `app`, which can say goodbye to its clients."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._open: set[asyncio.Task[object]] = set()
        self._leaving = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            asyncio.get_running_loop().add_signal_handler(SIGNAL, self._begin)
            await self.app(scope, receive, send)
            return
        task = asyncio.current_task()
        assert task is not None, "the server makes a task for each request"
        self._open.add(task)
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            if not self._leaving:
                raise
        finally:
            self._open.discard(task)

    def _begin(self) -> None:
        asyncio.get_running_loop().call_later(_GRACE_SECONDS, self._end)

    def _end(self) -> None:
        self._leaving = True
        for task in self._open:
            task.cancel()
