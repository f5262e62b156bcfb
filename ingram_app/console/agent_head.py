"""The top of an agent's page: how far its draft has come, what is live and what rolls out, as it changes."""

from datetime import datetime
from typing import Any

import reflex as rx
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.console.address import asked, named, or_not_here
from ingram_app.console.figures import moment, money
from ingram_app.console.following import stirred
from ingram_app.console.session import standing
from ingram_app.core import signals
from ingram_app.core.database import transaction
from ingram_app.domain import agents, events, versions
from ingram_app.domain.access import Caller
from ingram_app.domain.agents import Agent, AgentVersion
from ingram_app.domain.paging import Place

_NEWEST = Place(limit=1)


class AgentHead(rx.State):
    id: str = ""
    name: str = ""
    slug: str = ""
    tab: str = ""
    status: str = ""
    live: str = ""
    rolling: str = ""
    share: int = 0
    """Which percentage of the smiths runs what rolls out."""
    back: str = ""
    """Where one click goes back to; empty for nowhere."""
    halted: str = ""
    """What became of the last rollout, if it broke its guard."""
    halted_at: str = ""
    smiths: int = 0
    last_activity: str = ""
    created: str = ""
    loaded: bool = False
    _stands: datetime | None = None
    """When the agent that is shown was changed last."""

    @rx.event
    async def load(self):
        """Show the agent that the address names."""
        caller = await standing(self)
        wanted = named(self, "agents")
        if wanted != self.id:
            self.reset()
        self.tab = asked(self, "tab")
        with or_not_here("agent"):
            async with transaction(caller.tenancy) as session:
                await self._show(session, caller, wanted)

    @rx.event(background=True)
    async def follow(self):
        """Show what is rolled out or taken back while one looks, by whomever."""
        caller = await standing(self)
        wanted = named(self, "agents")
        with signals.listening(events.topic(caller.project_id)) as heard:
            while True:
                await stirred(heard)
                caller = await standing(self)
                async with transaction(caller.tenancy) as session:
                    agent = (await agents.known(session, caller, [wanted])).get(wanted)
                async with self:
                    changed = agent is not None and self.id == wanted and agent.updated_at != self._stands
                if changed:
                    yield AgentHead.load

    async def _show(self, session: AsyncSession, caller: Caller, wanted: str) -> None:
        agent = await agents.find(session, caller, wanted)
        newest = (await versions.browse(session, caller, wanted, _NEWEST)).data
        figures = (await agents.figures(session, caller, [wanted]))[wanted]
        self.id, self.name, self.slug, self.created = agent.id, agent.name, agent.slug or "", moment(agent.created_at)
        self.live = f"Version {agent.active_version}" if agent.published else ""
        self.rolling, self.share, self.back = rolling(agent), agent.rollout_percent, way_back(agent)
        self._stands = agent.updated_at
        self.halted = _halted(agent.halted) if agent.halted else ""
        self.halted_at = agent.halted["halted_at"] if agent.halted else ""
        self.smiths, self.last_activity = figures.smith_count, moment(figures.last_activity_at)
        self.status = _status(agent, newest[0] if newest else None)
        self.loaded = True


def rolling(agent: Agent) -> str:
    """Return what rolls out beside the live version, empty for nothing."""
    return f"Version {agent.rollout_version}, {agent.rollout_percent} %" if agent.rollout_version else ""


def way_back(agent: Agent) -> str:
    """Return which version rolling back makes everyone run, empty when there is none."""
    if agent.rollout_version:
        return f"version {agent.active_version}"
    return f"version {agent.previous_version}" if agent.previous_version else ""


def _status(agent: Agent, newest: AgentVersion | None) -> str:
    """Return how far the draft has come."""
    if newest is None:
        return "draft only"
    if newest.snapshot != agent.draft:
        return "unpublished changes"
    if agent.rollout_version:
        return "rolling out"
    return "live" if newest.version == agent.active_version else "published, not live"


def _halted(told: dict[str, Any]) -> str:
    """Return, in a sentence or two, which bound broke and by how much."""
    rollout, active, guard = told["rollout"], told["active"], told["guard"]
    began = f"Version {told['version']} went back from {told['percent']} % to 0"
    if told["broke"] == "max_failure_rate":
        return (
            f"{began}: {rollout['failed']} of its {rollout['ended']} runs failed, {_share(rollout['failure_rate'])},"
            f" where at most {_share(guard['max_failure_rate'])} may. Of version {active['version']}'s runs"
            f" {active['failed']} of {active['ended']} failed."
        )
    ratio = rollout["mean_cost"] / active["mean_cost"]
    return (
        f"{began}: a run of it cost {_money(rollout['mean_cost'])}, {ratio:.1f} times the {_money(active['mean_cost'])}"
        f" of version {active['version']}, where at most {guard['max_cost_ratio']:g} times may be."
    )


def _share(rate: float) -> str:
    return f"{rate * 100:.3g} %"


def _money(dollars: float) -> str:
    return money(round(dollars * 1_000_000))
