"""/v1/smiths/{id}/…: what people may ask for: that their data follows them, is shown, is forgotten."""

from datetime import datetime

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse
from pydantic import Field

from ingram_app.api.deps import Caller, InTransaction, Route
from ingram_app.api.shapes import In, Out
from ingram_app.api.smiths import SmithOut
from ingram_app.core.database import transaction
from ingram_app.domain import access, claims, erasures, exports
from ingram_app.domain.erasures import Erasure

router = APIRouter(prefix="/smiths/{smith_id}", tags=["smiths"], route_class=Route)


class Claim(In):
    external_id: str = Field(examples=["user-4711"])


class ErasureOut(Out):
    """A receipt."""

    id: str
    smith_id: str
    erased_at: datetime
    counts: dict[str, int]


@router.post("/claim", response_model=SmithOut)
async def claim_smith(smith_id: str, body: Claim, caller: Caller, session: InTransaction) -> SmithOut:
    """Make an anonymous smith (`anon:…`) that of the user who has signed in.

    All that was said moves to the one they have, if they have one. Asked again, the answer is the same.
    Every token of the anonymous smith ends: mint one for the smith in the answer.
    """
    return SmithOut.of(await claims.claim(session, caller, smith_id, body.external_id))


async def _begun(smith_id: str, caller: Caller) -> None:
    async with transaction(caller.tenancy) as session:
        await exports.begin(session, caller, smith_id)


@router.get("/export", response_class=StreamingResponse, dependencies=[Depends(_begun)])
async def export_smith(smith_id: str, caller: Caller) -> StreamingResponse:
    """Download everything that is held about a smith's person, as JSON Lines. Archived smiths can be exported too."""
    return exported(caller, smith_id)


def exported(caller: access.Caller, smith_id: str) -> StreamingResponse:
    """Return the file of an export that was begun."""
    headers = {"Content-Disposition": f'attachment; filename="{smith_id}.jsonl"', "Cache-Control": "no-store"}
    return StreamingResponse(exports.lines(caller, smith_id), 200, headers, media_type="application/jsonl")


@router.post("/erase", status_code=202, response_model=ErasureOut)
async def erase_smith(smith_id: str, caller: Caller, session: InTransaction) -> Erasure:
    """Erase all that is held about a smith, live or archived, but for totals of its usage. Answers with a receipt."""
    return await erasures.erase(session, caller, smith_id)


@router.get("/erase", response_model=ErasureOut)
async def get_erasure(smith_id: str, caller: Caller, session: InTransaction) -> Erasure:
    """Show the receipt of an erased smith."""
    return await erasures.find(session, caller, smith_id)
