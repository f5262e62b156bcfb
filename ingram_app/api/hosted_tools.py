"""/v1/tenant/hosted_tools: what the platform can do for a smith by itself."""

from fastapi import APIRouter

from ingram_app.api.deps import Caller, InTransaction, Route
from ingram_app.api.shapes import ListOut, Out
from ingram_app.domain import searches
from ingram_app.domain.hosted_tools import HOSTED_TOOLS

router = APIRouter(prefix="/tenant/hosted_tools", tags=["tools"], route_class=Route)


class HostedToolOut(Out):
    name: str
    title: str
    description: str
    available: bool
    """Whether it has what it takes; a search of the web takes a search service."""


@router.get("", response_model=ListOut[HostedToolOut])
async def list_hosted_tools(caller: Caller, session: InTransaction) -> ListOut[HostedToolOut]:
    """List the tools that run in the platform; enable one by its name in `enabled_hosted_tools`."""
    search = (await searches.find(session, caller)).available
    return ListOut(
        data=[
            HostedToolOut(
                name=tool.name,
                title=tool.title,
                description=tool.description,
                available=tool.available(search=search),
            )
            for tool in HOSTED_TOOLS.values()
        ]
    )
