"""Reminding: what a smith knows of its person, told to its model just ahead of the turn's own words."""

import logging

from pydantic_ai.messages import ModelMessage, ModelRequest, UserPromptPart

from ingram_app.domain import retrievals
from ingram_app.domain.leases import Lease
from ingram_app.domain.projects import Limits
from ingram_app.domain.runs import Run
from ingram_app.engine.candidates import Warn
from ingram_app.engine.learning import words
from ingram_app.gateways import windows

log = logging.getLogger(__name__)


async def notes(run: Run, lease: Lease, limits: Limits, warn: Warn) -> list[ModelMessage]:
    """Return what a run is told of its smith's memory, the same whoever carries it. Raises `LeaseLost`."""
    tokens = min(limits.max_memory_tokens or 0, windows.surely_takes(run.model) // 4)
    found, failed = await retrievals.retrieve(lease, words(run), tokens)
    if failed is not None:
        log.info("run %s goes on with the facts that its words name: %r", run.id, failed)
        warn("memory_searched_by_words", "The turn could not be embedded; facts were searched by their words alone.")
    return [ModelRequest(parts=[UserPromptPart(found.told)])] if found.told else []
