"""Web search: one question, a few results, from whichever service somebody has a key for.

To add one: write how it is asked, and name it in `SERVICES`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
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
    """Empty: whoever uses it has to name one."""
    request: Callable[[str, str, str, int], httpx2.Request]
    """Of address, key, question and number of results."""
    results: Callable[[Any], list[dict[str, Any]]]
    snippet: str


@dataclass(frozen=True, slots=True)
class Engine:
    """A search service as somebody uses it."""

    name: str
    """One of `SERVICES`."""
    key: str = field(default="", repr=False)
    address: str | None = None


class SearchFailed(Exception):
    """No results were to be had; the text says why, for a model."""


def installed() -> Engine | None:
    """Return the service that this installation has for everybody, if there is one."""
    name, key, url = settings().search_provider, settings().search_api_key, settings().search_url
    return Engine(name, key.get_secret_value() if key else "", str(url) if url else None) if name else None


async def search(engine: Engine, question: str, most: int) -> list[Result]:
    """Return what a search finds, the best first. Raises `SearchFailed`."""
    service = SERVICES[engine.name]
    request = service.request((engine.address or service.address).rstrip("/"), engine.key, question, most)
    try:
        answer = await outbound.bounded_client(timeout=TIMEOUT_SECONDS).send(request)
        if not answer.is_success:
            raise SearchFailed(f"The search service answered {answer.status_code}.")
        return [_result(found, service.snippet) for found in service.results(answer.json())[:most]]
    except (httpx2.HTTPError, httpx2.InvalidURL, ForbiddenTarget):
        raise SearchFailed("The search service can not be reached.") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
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
