"""Web search: one question, a few results, from whichever service the installation has a key for.

To add one: write how it is asked, and name it in `SERVICES`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

import httpx2

from ingram_app.core.settings import settings
from ingram_app.gateways import outbound
from ingram_app.gateways.outbound import ForbiddenTarget

TIMEOUT_SECONDS = 15
_SNIPPET_LETTERS = 500


@dataclass(frozen=True, slots=True)
class Result:
    title: str
    url: str
    snippet: str


@dataclass(frozen=True, slots=True)
class Service:
    """How a search service is asked, and where its answer has results and their snippets."""

    address: str
    """Empty: the installation has to name one."""
    request: Callable[[str, str, str, int], httpx2.Request]
    """Of address, key, question and number of results."""
    results: Callable[[Any], list[dict[str, Any]]]
    snippet: str


class SearchFailed(Exception):
    """No results were to be had; the text says why, for a model."""


def is_available() -> bool:
    """Tell whether there is a service to ask."""
    return settings().search_provider is not None


async def search(question: str, most: int) -> list[Result]:
    """Return what a search finds, the best first. Raises `SearchFailed`."""
    name = settings().search_provider
    if name is None:
        raise SearchFailed("There is no search service here.")
    service, key = SERVICES[name], settings().search_api_key
    address = str(settings().search_url or service.address).rstrip("/")
    request = service.request(address, key.get_secret_value() if key else "", question, most)
    try:
        answer = await outbound.bounded_client(timeout=TIMEOUT_SECONDS).send(request)
        if not answer.is_success:
            raise SearchFailed(f"The search service answered {answer.status_code}.")
        return [_result(found, service.snippet) for found in service.results(answer.json())[:most]]
    except (httpx2.HTTPError, httpx2.InvalidURL, ForbiddenTarget):
        raise SearchFailed("The search service can not be reached.") from None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise SearchFailed("The search service answered something else than results.") from None


def _result(found: dict[str, Any], snippet: str) -> Result:
    return Result(str(found["title"]), str(found["url"]), str(found.get(snippet) or "")[:_SNIPPET_LETTERS])


def _brave(address: str, key: str, question: str, most: int) -> httpx2.Request:
    asked = f"{address}?q={quote_plus(question)}&count={most}"
    return httpx2.Request("GET", asked, headers={"X-Subscription-Token": key, "Accept": "application/json"})


def _tavily(address: str, key: str, question: str, most: int) -> httpx2.Request:
    body = {"query": question, "max_results": most}
    return httpx2.Request("POST", address, headers={"Authorization": f"Bearer {key}"}, json=body)


def _searxng(address: str, key: str, question: str, most: int) -> httpx2.Request:
    return httpx2.Request("GET", f"{address}/search?q={quote_plus(question)}&format=json")


def _listed(answer: Any) -> list[dict[str, Any]]:
    return list(answer["results"])


SERVICES = {
    "brave": Service(
        "https://api.search.brave.com/res/v1/web/search",
        _brave,
        lambda answer: list(answer.get("web", {}).get("results", [])),
        "description",
    ),
    "tavily": Service("https://api.tavily.com/search", _tavily, _listed, "content"),
    "searxng": Service("", _searxng, _listed, "content"),
}
