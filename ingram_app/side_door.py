"""The side door: the API and the engine without the console, for processes that serve programs alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.types import ASGIApp

from ingram_app import api
from ingram_app.core import log
from ingram_app.core.farewell import Farewell
from ingram_app.core.lifeline import follow_parent
from ingram_app.edge import Edge
from ingram_app.engine import worker


def app() -> ASGIApp:
    """Return what is served: every page is unknown here."""
    follow_parent()
    log.set_up()
    edge = Edge(
        Starlette(lifespan=_lifespan),
        api.build(),
        static=Path(".web/none").absolute(),
        route_of=lambda path: None,
        public=frozenset(),
        session_is_live=_nobody_is_signed_in,
    )
    return Farewell(edge)


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    async with worker.working(interactive=True):
        yield


async def _nobody_is_signed_in(token_hash: str) -> bool:
    return False
