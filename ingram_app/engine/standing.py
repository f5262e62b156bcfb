"""Where a run stands when it is taken up: what its thread left, what it has added itself, what it has said."""

from dataclasses import dataclass

from pydantic_ai.messages import ModelMessage

from ingram_app.core.database import transaction
from ingram_app.domain import frames, leases, model_calls, model_keys, projects, retrievals, summaries, transcripts
from ingram_app.domain.model_keys import Access
from ingram_app.domain.projects import Limits
from ingram_app.domain.runs import Birth, Run
from ingram_app.domain.summaries import Past
from ingram_app.engine import prompt
from ingram_app.gateways.prices import Price


@dataclass(frozen=True, slots=True)
class Standing:
    """All that its carrier needs to know of a run."""

    limits: Limits
    prices: dict[str, Price]
    """The project's own, by model."""
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
    used: tuple[int, int, int] | None = None
    """The tokens, in and out, and micros that its model calls have taken so far."""
    budgeted: bool = False
    """The project has budgets."""
    admitted: bool = False
    """They have admitted its next model call, and may ask for a cheaper model:"""
    degraded_by: str | None = None


def at_birth(birth: Birth) -> Standing:
    """Return where a run stands that has just begun here: nothing needs to be read."""
    added = prompt.of_input(birth.run)
    return Standing(
        birth.project.limits,
        birth.project.prices,
        birth.past,
        added,
        latest=1,
        remembers=birth.remembers,
        access=birth.access,
        budgeted=birth.project.budgeted,
        admitted=birth.project.budgeted,
        degraded_by=birth.degraded_by,
    )


async def read(run: Run) -> Standing:
    """Return where a run stands that was left behind, or that waited."""
    async with transaction(leases.of(run).tenancy) as session:
        project = await projects.at(session, run.project_id)
        past = await summaries.past(session, run.project_id, run.smith_id, run.thread_id)
        mine = await transcripts.of_run(session, run.project_id, run.id)
        said = await frames.unfinished(session, run.project_id, run.id) if run.attempt > 1 else ""
        used = await model_calls.of_run(session, run.project_id, run.id) if run.attempt > 1 else None
        latest = await frames.latest(session, run.id)
        remembers = await retrievals.is_due(session, run.project_id, run.smith_id, run.id)
    added = prompt.read(mine) or prompt.of_input(run)
    budgeted = project.budgeted
    return Standing(project.limits, project.prices, past, added, latest, said, remembers, used=used, budgeted=budgeted)


async def reach(run: Run, model: str) -> Access:
    """Return how the run reaches a model now. Raises `UnknownProvider`, `ModelKeyMissing`."""
    async with transaction(leases.of(run).tenancy) as session:
        return await model_keys.reach(session, run.project_id, run.smith_id, model)
