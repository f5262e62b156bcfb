"""File search: in the vector stores of the design."""

from typing import Any

from ingram_app.engine.tools.tool import Deed, ToolRefused, Use


async def _search(use: Use, arguments: dict[str, Any]) -> Any:
    raise ToolRefused("There is no store of files to search.")


DEEDS: dict[str, Deed] = {"file_search": _search}
