"""How well a smith remembers: `python -m benchmarks.memory`.

Thirty people of our own making (`dialogues.toml`), in ten languages, tell their smiths of their lives over some months;
137 questions ask for a single fact, for what an update or a correction left, for times, and for what was never told.

Retrieval runs against a PostgreSQL of its own with the embeddings that are built in: no key is needed. It takes a
minute or two; `--short` asks five people without chaff.

    python -m benchmarks.memory

Extraction asks any OpenAI-shaped model what is worth remembering of each turn, through a server of its own; the key is
in BENCH_API_KEY. Without `--base-url` the model is one that the installation reaches by itself.

    BENCH_API_KEY=sk-… python -m benchmarks.memory --model gpt-5-mini --base-url https://api.openai.com/v1
"""

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.memory import extraction, retrieval
from benchmarks.memory.dialogues import Dialogue, chaff, dialogues
from benchmarks.memory.retrieval import AT, Tally
from ingram_app.core.cluster import Cluster
from ingram_app.core.database import NOBODY, pool, transaction
from ingram_app.core.migrations import migrate
from ingram_app.core.settings import settings
from ingram_app.domain import organizations, projects
from ingram_app.domain.access import ORGANIZATION, TENANT, Actor, Caller
from tests.serving import Serving

SHORT = 5
"""People of the short form."""
KEY = "BENCH_API_KEY"


@contextmanager
def _served() -> Iterator[Serving]:
    """Serve the API with a database of its own, which goes at the end."""
    folder = Path(tempfile.mkdtemp(prefix="ic-memory-", dir="/tmp"))
    serving = Serving(folder / "data", "--api-only", IC_ALLOW_PRIVATE_ADDRESSES="true")
    try:
        yield serving.start()
    finally:
        serving.stop()
        shutil.rmtree(folder, ignore_errors=True)


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


def show(tallies: dict[str, Tally], found: str, *more: str) -> None:
    """Print how many were `found`, and with a name for it how many at once."""
    width = max(map(len, tallies))
    print(f"{'':{width}}  questions  {found:>11}", *(f" {name:>11}" for name in more))
    for kind, tally in tallies.items():
        if tally.asked:
            shares = [part / tally.asked for part in (tally.found, tally.first)[: 1 + len(more)]]
            print(f"{kind:{width}}  {tally.asked:9}", *(f" {share:11.0%}" for share in shares))


async def _retrieve(people: Sequence[Dialogue], beside: Sequence[str]) -> None:
    show(await retrieval.measure(await _project(), people, beside), f"recall@{AT}", "found first")
    await pool().dispose()


async def _extract(serving: Serving, model: str, base_url: str | None, people: Sequence[Dialogue]) -> None:
    token = serving.bootstrap()["tenant_token"]
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=serving.url, headers=headers, timeout=300) as api:
        if base_url:
            key = {"api_key": os.environ.get(KEY, "none"), "base_url": base_url}
            (await api.put(f"/v1/tenant/model_keys/{extraction.PROVIDER}", json=key)).raise_for_status()
            model = f"{extraction.PROVIDER}/{model}"
        show(await extraction.measure(api, model, people), "answered")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--short", action="store_true", help="fewer people, no chaff")
    options.add_argument("--model", help="measure extraction with this model")
    options.add_argument("--base-url", help="where it is asked, like https://api.example.com/v1")
    asked = options.parse_args()
    began = time.perf_counter()
    people = dialogues()[:SHORT] if asked.short else dialogues()
    if asked.model:
        with _served() as serving:
            asyncio.run(_extract(serving, asked.model, asked.base_url, people))
    else:
        with _database():
            asyncio.run(_retrieve(people, [] if asked.short else chaff()))
    print(f"\n{len(people)} people, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
