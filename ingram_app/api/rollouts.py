"""/v1/agents/{agent_id}/rollout: which share of an agent's smiths runs which version."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field, StrictInt, WithJsonSchema

from ingram_app.api.agents import AgentOut, shown
from ingram_app.api.deps import Caller, InTransaction, Route
from ingram_app.api.shapes import In, Out
from ingram_app.domain import rollouts
from ingram_app.domain.rollouts import Guard

router = APIRouter(prefix="/agents/{agent_id}/rollout", tags=["agents"], route_class=Route)
_Percent = Annotated[Any, WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 100})]
_Guard = Annotated[Any, WithJsonSchema({"anyOf": [Guard.model_json_schema(), {"type": "null"}]})]


class Rollout(In):
    version: StrictInt
    percent: _Percent = 100
    """At 100 the version becomes active; at 0 it is taken back."""
    guard: _Guard = Field(default=None)
    """Left out, the guard of a version that goes on rolling out stays; null takes it off."""


class MoveOut(Out):
    from_version: int
    to_version: int
    field: str
    before: Any
    after: Any


class PlanOut(Out):
    moves: int
    """Smiths that would run another version."""
    shielded_by_pin: int
    """Smiths that would, were they not pinned to yet another."""
    shielded_by_override: dict[str, int]
    """Of the smiths that move, how many have a value of their own in a field that changes."""
    changes: list[MoveOut]


@router.post("", response_model=AgentOut | PlanOut)
async def roll_out(
    agent_id: str,
    body: Rollout,
    caller: Caller,
    session: InTransaction,
    dry_run: Annotated[bool, Query(description="Tell what would happen, and do nothing.")] = False,
) -> AgentOut | PlanOut:
    """Let `percent` of the agent's smiths run a version, always the same ones, and all others the active version."""
    asked = body.model_dump(exclude_unset=True)
    if dry_run:
        return PlanOut.model_validate(await rollouts.plan(session, caller, agent_id, **asked))
    return await shown(session, caller, await rollouts.roll_out(session, caller, agent_id, **asked))
