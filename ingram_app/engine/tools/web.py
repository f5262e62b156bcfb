"""The web: a page at an address that the model names, and what a search finds."""

from typing import Any

from ingram_app.domain import searches
from ingram_app.engine.tools.tool import Deed, ToolRefused, Use
from ingram_app.gateways import searching, web
from ingram_app.gateways.searching import SearchFailed
from ingram_app.gateways.web import Unreadable

LETTERS = 40_000
"""What is shown of a page at once."""


async def _fetch(use: Use, arguments: dict[str, Any]) -> str:
    try:
        page = await web.read(arguments["url"])
    except Unreadable as why:
        raise ToolRefused(f"{arguments['url'][:500]} was not read. {why}") from None
    begin = arguments.get("start", 0)
    end = begin + LETTERS
    more = f"\n[there is more: go on with start={end} of {len(page.text)}]" if len(page.text) > end else ""
    return f"{page.url}\n\n{page.text[begin:end]}{more}"


async def _search(use: Use, arguments: dict[str, Any]) -> list[dict[str, str]]:
    engine = await searches.reach(use.run.project_id)
    if engine is None:
        raise ToolRefused("There is no search service here.")
    try:
        found = await searching.search(engine, arguments["query"], arguments.get("results", 5))
    except SearchFailed as why:
        raise ToolRefused(str(why)) from None
    return [{"title": one.title, "url": one.url, "snippet": one.snippet} for one in found]


DEEDS: dict[str, Deed] = {"web_fetch": _fetch, "web_search": _search}
