"""/v1/tenant/trace_export: the collector that a project's traces are sent to over OTLP."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from ingram_app.api.deps import Caller, InTransaction, Route
from ingram_app.api.shapes import In, Out
from ingram_app.domain import trace_exports
from ingram_app.domain.trace_exports import ExportState, TraceExport

router = APIRouter(prefix="/tenant/trace_export", tags=["traces"], route_class=Route)


class TraceExportIn(In):
    endpoint: str = Field(examples=["https://otel.example.com/v1/traces"])
    """One that names a host alone is completed with `/v1/traces`."""
    headers: dict[str, str] | None = Field(default=None, examples=[{"authorization": "Bearer …"}])
    """Kept sealed and never shown again. Left out, those before stay as long as the host does."""
    include_content: bool = False
    """Whether what people, models and tools said goes along."""
    active: bool = True


class TraceExportOut(Out):
    endpoint: str
    header_names: list[str]
    include_content: bool
    active: bool
    state: ExportState
    disabled_reason: str | None
    """Why the platform has switched it off."""
    failing_since: datetime | None
    last_status: int | None
    last_error: str | None
    last_exported_at: datetime | None
    exported_runs: int
    dropped_runs: int
    """Those that the collector would never take."""
    created_at: datetime
    updated_at: datetime


@router.put("", response_model=TraceExportOut)
async def put_trace_export(body: TraceExportIn, caller: Caller, session: InTransaction) -> TraceExport:
    """Send the trace of every run that ends from now on to a collector, over OTLP/HTTP in protobuf."""
    return await trace_exports.put(session, caller, **body.model_dump())


@router.get("", response_model=TraceExportOut)
async def get_trace_export(caller: Caller, session: InTransaction) -> TraceExport:
    """Show where traces are sent, and how that goes."""
    return await trace_exports.find(session, caller)


@router.delete("", status_code=204)
async def delete_trace_export(caller: Caller, session: InTransaction) -> None:
    """Send no more traces, and forget where to."""
    await trace_exports.remove(session, caller)
