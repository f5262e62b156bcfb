"""The filters of a list: which of them its address sets, and what stands in the bar for them."""

from enum import StrEnum
from typing import TypeVar

import reflex as rx
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.console.address import asked
from ingram_app.console.run_rows import called
from ingram_app.console.session import Choice
from ingram_app.domain import agents, smiths
from ingram_app.domain.access import Caller
from ingram_app.domain.paging import Place

State = TypeVar("State", bound=StrEnum)
_CHOICES = Place(limit=99)


def wanted(state: rx.State, **words: str) -> dict[str, str | None]:
    """Return what the address asks of a list: each filter of its verb by its word there, `None` when it is not set."""
    return {filter: asked(state, word) or None for filter, word in words.items()}


def one_of(states: type[State], word: str) -> State | None:
    """Return the state that is called so, `None` when there is none."""
    return states(word) if word in states.__members__ else None


async def agent_choices(session: AsyncSession, caller: Caller) -> list[Choice]:
    """Return the agents there are to choose from: the default one, then others by name."""
    standard = await agents.the_default(session, caller)
    designs = (await agents.browse(session, caller, _CHOICES)).data
    others = sorted((agent for agent in designs if not agent.is_default), key=lambda agent: agent.name.lower())
    return [Choice(agent.id, agent.name) for agent in (standard, *others)]


async def whose(session: AsyncSession, caller: Caller, smith_id: str | None) -> str:
    """Return what the smith is called that a list is filtered by: its id when there is none, empty for no filter."""
    known = await smiths.known(session, caller, [smith_id] if smith_id else [])
    return next((called(smith) for smith in known.values()), smith_id or "")
