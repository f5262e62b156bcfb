"""/v1/approvals: the tool calls that wait, or have waited, for a person. Decide one by its run's `submit`."""

from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter

from ingram_app.api.deps import Caller, InTransaction, Place, Route
from ingram_app.api.shapes import Out, PageOut
from ingram_app.core.errors import Invalid
from ingram_app.domain import approvals
from ingram_app.domain.approvals import Approval, ApprovalStatus
from ingram_app.domain.paging import Page

router = APIRouter(prefix="/approvals", tags=["approvals"], route_class=Route)


class InvalidApprovalStatus(Invalid):
    """{status} is no status of an approval. They are: {statuses}."""

    code = "invalid_status"


class ApprovalOut(Out):
    id: str
    run_id: str
    smith_id: str
    tool_call_id: str
    tool: str
    args: Any
    elicitation: dict[str, Any] | None
    approver: Literal["operator", "smith"]
    four_eyes: bool
    status: ApprovalStatus
    actor: dict[str, str | None] | None
    reason: str | None
    created_at: datetime
    resolved_at: datetime | None
    expires_at: datetime | None


@router.get("", response_model=PageOut[ApprovalOut])
async def list_approvals(
    caller: Caller,
    session: InTransaction,
    place: Place,
    smith_id: str | None = None,
    run_id: str | None = None,
    status: str | None = None,
) -> Page[Approval]:
    """List approvals, newest first; a smith's token sees its own."""
    return await approvals.browse(session, caller, place, smith_id=smith_id, run_id=run_id, status=_status(status))


@router.get("/{approval_id}", response_model=ApprovalOut)
async def get_approval(approval_id: str, caller: Caller, session: InTransaction) -> Approval:
    """Show one approval."""
    return await approvals.find(session, caller, approval_id)


def _status(word: str | None) -> ApprovalStatus | None:
    if word is None:
        return None
    try:
        return ApprovalStatus(word)
    except ValueError:
        raise InvalidApprovalStatus(status=word[:40], statuses=", ".join(ApprovalStatus), param="status") from None
