"""An agent's rollout: which share of its smiths runs which version, planned before it is done, and its history."""

from dataclasses import dataclass
from typing import Any

import reflex as rx
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.console import rollout_form
from ingram_app.console.address import asked, named, place_of
from ingram_app.console.agent_head import AgentHead
from ingram_app.console.dialogs import close_dialog, open_dialog
from ingram_app.console.differences import Difference, differences
from ingram_app.console.figures import author, counted, moment
from ingram_app.console.rollout_form import Planned, Wish
from ingram_app.console.session import Choice, standing
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.domain import agents, rollouts, versions
from ingram_app.domain.access import Caller
from ingram_app.domain.audit import AuditEntry
from ingram_app.domain.versions import Change


@dataclass
class Deed:
    """A line of the history."""

    at: str
    what: str
    by: str

    @classmethod
    def of(cls, entry: AuditEntry) -> "Deed":
        return cls(moment(entry.created_at), _told(entry), author(entry.actor))


class Rollout(rx.State):
    choices: list[Choice] = []
    version: str = ""
    percent: int = 0
    guard: dict[str, str] = {}
    revision: int = 0
    """Counts how often this was loaded: with it the form is put up anew."""
    error: str = ""
    error_at: str = ""
    planned: Planned = Planned()
    shown: list[Difference] = []
    history: list[Deed] = []
    older: str = ""
    _wish: Wish | None = None

    @rx.event
    async def load(self):
        """Show what rolls out of the agent that the address names, and what did."""
        caller = await standing(self)
        if asked(self, "tab") != "rollout":
            return
        try:
            async with transaction(caller.tenancy) as session:
                await self._show(session, caller, named(self, "agents"))
        except NotFound:
            self.reset()  # the page says so

    @rx.event
    async def ask(self, form: dict[str, Any]):
        """Work out what the rollout would do, and ask."""
        caller = await standing(self)
        try:
            wish = rollout_form.read(form)
            async with transaction(caller.tenancy) as session:
                plan = await rollouts.plan(session, caller, named(self, "agents"), *wish)
        except Invalid as error:
            self.error, self.error_at = error.sentence, (error.param or "").rpartition(".")[2]
            return None
        self._wish, self.planned, self.error, self.error_at = wish, rollout_form.planned(wish, plan), "", ""
        self.shown = differences([Change(move.field, move.before, move.after) for move in plan.changes])
        return open_dialog("roll-out")

    @rx.event
    async def apply(self):
        """Do what was planned last."""
        caller = await standing(self)
        if self._wish is None:
            return None
        version, percent, _ = self._wish
        async with transaction(caller.tenancy) as session:
            await rollouts.roll_out(session, caller, named(self, "agents"), *self._wish)
        self._wish = None
        said = f"Version {version} is live" if percent == 100 else f"Version {version} rolls out to {percent} %"
        return [close_dialog("roll-out"), AgentHead.load, Rollout.load, rx.toast.success(said)]

    @rx.event
    async def roll_back(self):
        """Have every smith run again what it ran before the last rollout."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await rollouts.roll_back(session, caller, named(self, "agents"))
        return [AgentHead.load, Rollout.load, rx.toast.success("Rolled back")]

    async def _show(self, session: AsyncSession, caller: Caller, wanted: str) -> None:
        agent = await agents.find(session, caller, wanted)
        found = (await versions.browse(session, caller, wanted)).data
        history = await rollouts.history(session, caller, wanted, place_of(self))
        self.choices = [Choice(str(one.version), f"Version {one.version}") for one in found]
        newest = found[0].version if found else 0
        self.version = _asked_version(self) or str(agent.rollout_version or newest)
        self.percent = agent.rollout_percent or (10 if newest != agent.active_version else 100)
        self.guard = rollout_form.texts(agent.guard)
        self.history, self.older = [Deed.of(entry) for entry in history.data], history.next_cursor or ""
        self.error = self.error_at = ""
        self.revision += 1


def _asked_version(tab: rx.State) -> str:
    wanted = asked(tab, "version")
    return wanted if wanted.isascii() and wanted.isdigit() else ""


def _told(entry: AuditEntry) -> str:
    """Return a deed of the history in words."""
    facts = entry.details
    version = f"version {facts.get('version')}"
    if entry.action == "agent.published":
        return f"Published {version}"
    if entry.action == "agent.rollout_halted":
        why = {"max_failure_rate": "too many failed", "max_cost_ratio": "cost too much"}[facts["broke"]]
        ended = counted(facts["rollout"]["ended"], "run")
        return f"Took {version} back from {facts['percent']} %: of {ended} {why}"
    guarded = ", under guard" if facts.get("guard") else ""
    if facts["percent"] == 0:
        return f"Took {version} back"
    return (
        f"Made {version} live" if facts["percent"] == 100 else f"Rolled {version} out to {facts['percent']} %{guarded}"
    )
