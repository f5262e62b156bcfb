"""/v1/smiths/{id}/runs/{id}/replay: have a turn answered once more."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from ingram_app.api.deps import Caller, Route, claim
from ingram_app.api.runs import Accepted, RunOut, told
from ingram_app.api.shapes import In
from ingram_app.core.database import transaction
from ingram_app.domain import replays, runs

router = APIRouter(tags=["runs"], route_class=Route)


class Replay(In):
    stream: bool = False


async def _accept(request: Request, smith_id: str, run_id: str, caller: Caller) -> Accepted:
    async with transaction(caller.tenancy) as session:
        known = await claim(request, caller, session)
        if known is not None and known.resource_id is not None:
            return Accepted(
                await runs.find(session, caller, smith_id, known.resource_id, may="runs:write"), again=True, named=True
            )
        run = await replays.replay(session, caller, smith_id, run_id)
        if known is not None:
            known.resource_id = run.id
        return Accepted(run, again=False, named=known is not None)


@router.post("/smiths/{smith_id}/runs/{run_id}/replay", response_model=RunOut)
async def replay_run(
    caller: Caller, accepted: Annotated[Accepted, Depends(_accept)], body: Replay | None = None
) -> Response:
    """Answer a run's input once more, on a fresh thread and with the design it was recorded with."""
    return await told(accepted, streamed=body is not None and body.stream)
