"""A process that works on runs, and dies in the middle of the tool `charge`: `python -m tests.engine.dying FILE`."""

import asyncio
import sys
from pathlib import Path

from ingram_app.engine import worker
from tests.engine.probe import Probe


async def work(file: Path) -> None:
    Probe(dies_in=file).install()
    async with worker.working(interactive=False):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1])))
