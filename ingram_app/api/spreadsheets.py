"""Rows for a spreadsheet, as CSV that is safe to open."""

import csv
import io
from collections.abc import Sequence

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a formula begins with, those of full width too."""


def spelt(rows: Sequence[Sequence[str | int]]) -> str:
    """Return rows as CSV; no text in them can be taken for a formula."""
    written = io.StringIO()
    csv.writer(written).writerows([[_harmless(cell) for cell in row] for row in rows])
    return written.getvalue()


def _harmless(cell: str | int) -> str | int:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_STARTS) else cell
