"""/v1/tenant/search: whom a project's smiths ask when they search the web."""

from typing import Literal

from fastapi import APIRouter

from ingram_app.api.deps import Caller, InTransaction, Route
from ingram_app.api.models import ApiKey
from ingram_app.api.shapes import In, Out
from ingram_app.domain import searches
from ingram_app.domain.searches import Holding, Provider

router = APIRouter(prefix="/tenant/search", tags=["tools"], route_class=Route)


class SearchIn(In):
    provider: Provider
    """`none`: smiths do not search the web, whatever the installation has."""
    api_key: ApiKey | None = None
    """For Brave and Tavily. Kept when left out, while the provider stays the same."""
    url: str | None = None
    """For SearXNG."""


class SearchOut(Out):
    """What holds, never the key."""

    provider: Provider
    url: str | None
    source: Literal["project", "platform"]


@router.get("", response_model=SearchOut)
async def get_search(caller: Caller, session: InTransaction) -> Holding:
    """Show whom smiths ask: the project's own choice or, without one, what the installation has."""
    return await searches.find(session, caller)


@router.put("", response_model=SearchOut)
async def put_search(body: SearchIn, caller: Caller, session: InTransaction) -> Holding:
    """Choose whom smiths ask; the key is sealed and never shown."""
    return await searches.put(session, caller, body.provider, api_key=body.api_key, url=body.url)


@router.delete("", status_code=204)
async def delete_search(caller: Caller, session: InTransaction) -> None:
    """Forget the project's choice and its key: what the installation has holds again."""
    await searches.remove(session, caller)
