"""Where a run stands when it is taken up: what its thread left, what it has added itself, what it has said."""

from dataclasses import dataclass

from pydantic_ai.messages import ModelMessage

from ingram_app.core.database import transaction
from ingram_app.domain import frames, leases, model_keys, projects, retrievals, summaries, transcripts
from ingram_app.domain.model_keys import Access
from ingram_app.domain.projects import Limits
from ingram_app.domain.runs import Birth, Run
from ingram_app.domain.summaries import Past
from ingram_app.engine import prompt


@dataclass(frozen=True, slots=True)
class Standing:
    """All that its carrier needs to know of a run."""

    limits: Limits
    past: Past
    """What the thread remembers."""
    added: list[ModelMessage]
    """What this run has added so far; at first its input."""
    latest: int
    """The number of its last frame."""
    said: str = ""
    """The words of the message that it was in the middle of."""
    remembers: bool = False
    """There is something of the smith's memory to be told, or was."""
    access: Access | None = None
    """How its model is reached, if that is known already."""
    summarised: tuple[int, int, int] | None = None
    """The tokens, in and out, and micros that summaries have taken which were made for it already."""


def at_birth(birth: Birth) -> Standing:
    """Return where a run stands that has just begun here: nothing needs to be read."""
    added = prompt.of_input(birth.run)
    return Standing(birth.limits, birth.past, added, latest=1, remembers=birth.remembers, access=birth.access)


async def read(run: Run) -> Standing:
    """Return where a run stands that was left behind, or that waited."""
    async with transaction(leases.of(run).tenancy) as session:
        limits = (await projects.at(session, run.project_id)).limits
        past = await summaries.past(session, run.project_id, run.smith_id, run.thread_id)
        mine = await transcripts.of_run(session, run.project_id, run.id)
        said = await frames.unfinished(session, run.project_id, run.id) if run.attempt > 1 else ""
        summarised = await summaries.spent(session, run.project_id, run.id) if run.attempt > 1 else None
        latest = await frames.latest(session, run.id)
        remembers = await retrievals.is_due(session, run.project_id, run.smith_id, run.id)
    added = prompt.read(mine) or prompt.of_input(run)
    return Standing(limits, past, added, latest, said, remembers, summarised=summarised)


async def reach(run: Run, model: str) -> Access:
    """Return how the run reaches a model now. Raises `UnknownProvider`, `ModelKeyMissing`."""
    async with transaction(leases.of(run).tenancy) as session:
        return await model_keys.reach(session, run.project_id, run.smith_id, model)
