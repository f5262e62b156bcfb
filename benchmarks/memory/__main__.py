"""How well a smith remembers: `python -m benchmarks.memory`.

Thirty people of our own making (`dialogues.toml`), in ten languages, tell their smiths of their lives over some months;
130 questions ask for a single fact, for what an update or a correction left, for times, and for what was never told.
It runs against a PostgreSQL of its own with the embeddings that are built in: no key is needed. It takes about a
minute; `--short` asks five people without chaff.
"""

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.memory import retrieval
from benchmarks.memory.dialogues import chaff, dialogues
from benchmarks.memory.retrieval import AT, Tally
from ingram_app.core.cluster import Cluster
from ingram_app.core.database import NOBODY, pool, transaction
from ingram_app.core.migrations import migrate
from ingram_app.core.settings import settings
from ingram_app.domain import organizations, projects
from ingram_app.domain.access import ORGANIZATION, TENANT, Actor, Caller

SHORT = 5
"""People of the short form."""


@contextmanager
def _database() -> Iterator[None]:
    """Stand on an empty database, which goes at the end."""
    folder = Path(tempfile.mkdtemp(prefix="ic-memory-", dir="/tmp"))
    try:
        with Cluster(folder / "postgres").running() as url:
            migrate(url)
            os.environ |= {"IC_DATABASE_URL": url, "IC_DATA_DIR": str(folder)}
            settings.cache_clear()
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _project() -> Caller:
    async with transaction(NOBODY) as session:
        owner = await organizations.create(session, "Memory")
        above = Caller(Actor("organization", owner.id), frozenset({ORGANIZATION}), organization_id=owner.id)
        project = await projects.create(session, above, "Memory")
    return Caller(Actor("tenant", project.id), frozenset({TENANT}), project_id=project.id)


def show(tallies: dict[str, Tally]) -> None:
    """Print the table."""
    width = max(map(len, tallies))
    print(f"{'':{width}}  questions  recall@{AT}  found first")
    for kind, tally in tallies.items():
        if tally.asked:
            shares = f"{tally.found / tally.asked:8.0%}  {tally.first / tally.asked:11.0%}"
            print(f"{kind:{width}}  {tally.asked:9}  {shares}")


async def _run(*, short: bool) -> None:
    began = time.perf_counter()
    people = dialogues()[:SHORT] if short else dialogues()
    show(await retrieval.measure(await _project(), people, [] if short else chaff()))
    print(f"\n{len(people)} people, {time.perf_counter() - began:.0f} s")
    await pool().dispose()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--short", action="store_true", help="fewer people, no chaff")
    asked = options.parse_args()
    with _database():
        asyncio.run(_run(short=asked.short))


if __name__ == "__main__":
    main()
