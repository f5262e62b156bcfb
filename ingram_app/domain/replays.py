"""Replays: a turn is answered once more on a fresh thread, from what was recorded: its input, its design,
and what of its memory the smith had before it."""

from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.domain import retrievals, runs
from ingram_app.domain.access import Caller
from ingram_app.domain.designs import Recorded
from ingram_app.domain.runs import Run
from ingram_app.domain.turns import Turn


async def replay(session: AsyncSession, caller: Caller, smith_id: str, run_id: str) -> Run:
    """Start the turn of a run again; its metadata says of which. Tools are used anew, approvals are asked for anew.

    Raises as `runs.start`.
    """
    run = await runs.find(session, caller, smith_id, run_id, may="runs:write")
    design = run.config | {"model": run.model}
    of = {"of": run.id, "deterministic": _is_deterministic(run)}
    turn = Turn(
        run.input,
        channel=run.channel,
        metadata=run.about | {"replay": of},
        response_format=run.response_format,
        recorded=Recorded(design, run.agent_version),
    )
    again = await runs.start(session, caller, smith_id, turn)
    await retrievals.repeat(session, run.project_id, again.id, run.id)
    return again


def _is_deterministic(run: Run) -> bool:
    """Tell whether the model can be expected to say the same again, as far as models can."""
    return run.model.startswith("test/") or run.config["model_settings"].get("temperature") == 0
