"""The front door: one application that holds the console, the API and the engine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import reflex as rx
from starlette.types import ASGIApp

from ingram_app import api
from ingram_app.console import session as console_session, shell
from ingram_app.core import later, log
from ingram_app.core.database import NOBODY, transaction
from ingram_app.core.farewell import Farewell
from ingram_app.core.lifeline import follow_parent
from ingram_app.domain import sessions
from ingram_app.edge import Edge
from ingram_app.engine import worker

later.import_without("socketio", "requests")  # its client alone would use it: 4 MB
_PUBLIC = frozenset({"sign-in", "welcome", "404"})
"""Pages for everybody; all others are for the signed in."""


async def session_is_live(token_hash: str) -> bool:
    """Tell whether someone is signed in with the cookie of this hash."""
    async with transaction(NOBODY) as session:
        return await sessions.whose(session, token_hash) is not None


class App(rx.App):
    """Reflex's app with the API beside it: inside, every call would pass Reflex's layers and share its CORS policy."""

    def __call__(self) -> ASGIApp:
        follow_parent()
        log.set_up()
        edge = Edge(
            super().__call__(),
            api.build(),
            static=Path(".web/build/client").absolute(),
            route_of=self.router,
            public=_PUBLIC,
            session_is_live=session_is_live,
        )
        return Farewell(edge)


app = App(
    backend_exception_handler=console_session.on_error,
    stylesheets=["/console.css", "/pages.css"],
    head_components=shell.head_components(),
    extra_app_wraps={(5, "Overlay"): lambda _: None},  # in place of Reflex's own words about a lost connection
    toaster=rx.toast.provider(position="bottom-right"),
    html_lang="en",
)
app.add_middleware(console_session.TabOwner())


@app.register_lifespan_task
@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    """What runs for as long as the application serves."""
    async with worker.working(interactive=True):
        yield
