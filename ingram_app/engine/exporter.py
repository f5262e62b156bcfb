"""The exporter: brings the traces of runs that have ended to the collectors of their projects."""

import logging

from sqlalchemy.exc import SQLAlchemyError

from ingram_app.core.database import Tenancy, transaction
from ingram_app.domain import trace_exports
from ingram_app.domain.trace_exports import Batch, Outcome
from ingram_app.engine import lanes
from ingram_app.gateways import otlp

log = logging.getLogger(__name__)
LANES = 50
"""Projects that one process exports for at once."""
TURN = 20
"""Batches of one project before others have their turn."""
SECONDS = 2.0


async def export_forever() -> None:
    """Look for what is to be exported every other second. No signal is heard: where nobody exports, nothing is done."""
    await lanes.go_forever(trace_exports.due, _serve, most=LANES, seconds=SECONDS)


async def _serve(project_id: str) -> bool:
    tenancy = Tenancy(project_id=project_id)
    for _ in range(TURN):
        async with transaction(tenancy) as session:
            batch = await trace_exports.take(session, project_id)
        if batch is None:
            return False
        outcome = await lanes.or_let_go(tenancy, batch, _outcome_of(tenancy, batch), trace_exports.let_go)
        async with transaction(tenancy) as session:
            await trace_exports.settle(session, batch, outcome)
    return True


async def _outcome_of(tenancy: Tenancy, batch: Batch) -> Outcome:
    whose = {"service.name": "ingram-cloud", "ingram.project.id": batch.project_id}
    try:
        async with transaction(tenancy) as session:
            spans = await trace_exports.read(session, batch)
        if not spans:
            return Outcome(204)
        answer = await otlp.send(batch.endpoint, batch.headers, whose, spans)
    except SQLAlchemyError:
        raise
    except Exception:
        log.exception("the export of %s in %s failed on our side", batch.run_ids, batch.project_id)
        return Outcome(error="Something went wrong on our side. It has been logged.", in_vain=True)
    return Outcome(answer.status, answer.error)
