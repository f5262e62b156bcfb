"""Reasoning: a place for the model to think in. What it writes stays in the conversation; nothing else happens."""

from typing import Any

from ingram_app.engine.tools.tool import Deed, Use


async def _note(use: Use, arguments: dict[str, Any]) -> str:
    return "Noted."


DEEDS: dict[str, Deed] = {"think": _note, "analyze": _note}
