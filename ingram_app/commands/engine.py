"""engine: carry runs of the queue, without serving. Any number may work beside the servers, on one PostgreSQL."""

import asyncio
import signal
from argparse import Namespace

from ingram_app.commands.installation import open_database
from ingram_app.core import log
from ingram_app.engine import worker


def run(arguments: Namespace) -> None:
    """Work until told to stop; what is under way is let go of, and taken up by another."""
    log.set_up()
    with open_database():
        asyncio.run(_work())


async def _work() -> None:
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with worker.working(interactive=False):
        print("The engine is working.", flush=True)
        await told.wait()
