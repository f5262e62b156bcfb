"""Rows for a spreadsheet, as CSV that is safe to open."""

import csv
import io
from collections.abc import AsyncIterator, Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import IO

from fastapi.responses import StreamingResponse

IN_MEMORY_BYTES = 2**20
CHUNK_BYTES = 2**16

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a formula begins with, those of full width too."""


def spelt(rows: Sequence[Sequence[str | int]]) -> str:
    """Return rows as CSV; no text in them can be taken for a formula."""
    written = io.StringIO()
    csv.writer(written).writerows([[_harmless(cell) for cell in row] for row in rows])
    return written.getvalue()


async def handed_out(pages: AsyncIterator[Sequence[Sequence[str | int]]], name: str) -> StreamingResponse:
    """Return rows as a file, all of which have been read before the first is sent: who reads it slowly keeps no
    transaction open. What is much of it waits on disk."""
    file = SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 - closed when it has been sent
    async for rows in pages:
        file.write(spelt(rows).encode())
    headers = {
        "content-disposition": f'attachment; filename="{name}"',
        "content-length": str(file.tell()),
        "cache-control": "no-store",
    }
    file.seek(0)
    return StreamingResponse(_chunks(file), media_type="text/csv; charset=utf-8", headers=headers)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _harmless(cell: str | int) -> str | int:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_STARTS) else cell
