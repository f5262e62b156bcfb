"""/v1/tenant/hosted_tools: what the platform can do for a smith by itself."""

from fastapi import APIRouter

from ingram_app.api.deps import Caller, Route
from ingram_app.api.shapes import ListOut, Out
from ingram_app.domain.hosted_tools import HOSTED_TOOLS, HostedTool

router = APIRouter(prefix="/tenant/hosted_tools", tags=["tools"], route_class=Route)


class HostedToolOut(Out):
    name: str
    title: str
    description: str
    available: bool
    """Whether this installation has what it takes; a search of the web takes a search service."""


@router.get("", response_model=ListOut[HostedToolOut])
async def list_hosted_tools(caller: Caller) -> dict[str, list[HostedTool]]:
    """List the tools that run in the platform; enable one by its name in `enabled_hosted_tools`."""
    caller.require("agents:read")
    return {"data": list(HOSTED_TOOLS.values())}
