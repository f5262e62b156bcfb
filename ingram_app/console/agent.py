"""One agent: its draft. Its versions stand in `versions.py`."""

from typing import Any

import reflex as rx

from ingram_app.console import model_field, versions
from ingram_app.console.address import is_at, named, or_not_here
from ingram_app.console.dialogs import code_button, code_drawer, curl
from ingram_app.console.figures import moment
from ingram_app.console.looks import (
    button,
    facts,
    field,
    guarded,
    link,
    one_thing,
    relative_time,
    save_bar,
    skeleton,
    split,
)
from ingram_app.console.model_field import ProviderChoice
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.console.versions import Versions
from ingram_app.core.database import compact, transaction
from ingram_app.core.errors import Invalid
from ingram_app.core.secrets import digest
from ingram_app.domain import agents, designs
from ingram_app.domain.access import Caller
from ingram_app.domain.agents import Agent

_INSTRUCTIONS_LENGTH = 100_000


class AgentPage(rx.State):
    id: str = ""
    name: str = ""
    slug: str = ""
    created: str = ""
    revision: str = ""
    """Tells one draft from another: with it the form is put up anew."""
    instructions: str = ""
    chosen: str = ""
    other: str = ""
    auto_memory: bool = True
    consolidation: bool = False
    providers: list[ProviderChoice] = []
    standard: str = ""
    error: str = ""
    error_at: str = ""
    """The field that the error is about."""
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show the agent that the address names."""
        caller = await standing(self)
        wanted = named(self, "agents")
        if wanted != self.id:
            self.reset()
        with or_not_here("agent"):
            await self._show(caller, wanted)

    @rx.event
    async def save(self, form: dict[str, Any]):
        """Keep what has been changed of the draft."""
        caller = await standing(self)
        wanted = named(self, "agents")
        try:
            async with transaction(caller.tenancy) as session:
                agent = await agents.find(session, caller, wanted)
                changes = _changes(agent, form)
                if changes:
                    await agents.change(session, caller, wanted, changes)
        except Invalid as error:
            self.error, self.error_at = error.sentence, error.param or "name"
            return None
        await self._show(caller, wanted)
        return [Versions.load, rx.toast.success("Saved as a draft")]

    async def _show(self, caller: Caller, wanted: str) -> None:
        async with transaction(caller.tenancy) as session:
            agent = await agents.find(session, caller, wanted)
            choices = await model_field.choices(session, caller)
        draft = agent.draft
        self.id, self.name, self.slug, self.created = agent.id, agent.name, agent.slug or "", moment(agent.created_at)
        self.revision = digest(compact([agent.name, draft]))[:12]
        self.providers, self.standard = choices.providers, choices.standard
        self.instructions = draft.get("instructions") or ""
        self.chosen = choices.chosen(draft.get("model"))
        self.other = (draft.get("model") or "") if self.chosen == model_field.OTHER else ""
        self.auto_memory, self.consolidation = _memory(draft)
        self.error = self.error_at = ""
        self.loaded = True


def _memory(draft: dict[str, Any]) -> tuple[bool, bool]:
    config = designs.effective(draft, {})
    return config["auto_memory"], config["memory_consolidation"]


def _changes(agent: Agent, form: dict[str, Any]) -> dict[str, Any]:
    """Return what a form says otherwise than the draft."""
    auto, consolidation = "auto_memory" in form, "memory_consolidation" in form
    said = {
        "name": str(form.get("name", "")),
        "instructions": str(form.get("instructions", "")) or None,
        "model": model_field.read(form),
    }
    stood = {"name": agent.name, "instructions": agent.draft.get("instructions"), "model": agent.draft.get("model")}
    changes: dict[str, Any] = {field: value for field, value in said.items() if value != stood[field]}
    before = _memory(agent.draft)
    if auto != before[0]:
        changes["auto_memory"] = auto
    if consolidation != before[1]:
        changes["memory_consolidation"] = consolidation
    return changes


@page("/p/[project]/agents/[agent_id]", title="Agent", on_load=[Versions.load, AgentPage.load])
def agent_page() -> rx.Component:
    return rx.cond(
        AgentPage.loaded & is_at(AgentPage.id),
        rx.fragment(_top(), split(_body(), _facts()), *versions.dialogs(), _code()),
        skeleton(),
    )


def _top() -> rx.Component:
    return rx.el.div(
        link("Agents", href=f"/p/{Session.project_id}/agents", class_name="crumb"),
        one_thing(
            AgentPage.name,
            AgentPage.id,
            code_button(),
            rx.cond(Session.builds, button("Publish …", kind="main", opens="publish")),
            status=Versions.status,
        ),
    )


def _body() -> rx.Component:
    return rx.el.div(_design(), versions.version_list(), class_name="stack wide-gap")


def _facts() -> rx.Component:
    return facts(
        ("Live", rx.cond(Versions.live != "", Versions.live, "nothing yet")),
        ("Slug", rx.cond(AgentPage.slug != "", rx.el.code(AgentPage.slug), "none: the project's default agent")),
        (
            "Smiths",
            link(Versions.smiths.to_string(), href=f"/p/{Session.project_id}/smiths?agent={AgentPage.id}"),
        ),
        ("Runs", link("Show its runs", href=f"/p/{Session.project_id}/runs?agent={AgentPage.id}")),
        ("Last activity", relative_time(Versions.last_activity)),
        ("Created", relative_time(AgentPage.created)),
    )


def _design() -> rx.Component:
    may_not = ~Session.builds
    return guarded(
        "design",
        rx.el.fieldset(
            field("name", "Name", default_value=AgentPage.name, error=_error("name"), max_length=120, required=True),
            _instructions(),
            model_field.model_field(
                AgentPage.providers,
                AgentPage.standard,
                chosen=AgentPage.chosen,
                other=AgentPage.other,
                error=_error("model"),
                about="A model without a key can be chosen; its runs fail until there is one, and say so.",
                id="model",
            ),
            _switch("auto_memory", "Remember", "Facts from a turn are written down after it.", AgentPage.auto_memory),
            _switch(
                "memory_consolidation",
                "Consolidate memory",
                "Facts are folded into one document at quiet times. This calls the model.",
                AgentPage.consolidation,
            ),
            disabled=may_not,
            class_name="stack",
        ),
        save_bar("Save draft"),
        on_submit=AgentPage.save,
        key=AgentPage.revision,
    )


def _instructions() -> rx.Component:
    return field(
        "instructions",
        "Instructions",
        kind="area",
        default_value=AgentPage.instructions,
        error=_error("instructions"),
        help=rx.el.span(
            "What the assistant is told before every conversation. ",
            rx.el.span(
                f"{AgentPage.instructions.length()} of {_INSTRUCTIONS_LENGTH:,} characters.", id="instructions-count"
            ),
        ),
        max_length=_INSTRUCTIONS_LENGTH,
        rows=14,
        class_name="input prose",
        custom_attrs={"data-counted": "instructions-count"},
    )


def _switch(name: str, label: str, about: str, checked: rx.Var[bool]) -> rx.Component:
    return rx.el.label(
        rx.el.input(type="checkbox", name=name, default_checked=checked, role="switch"),
        rx.el.span(rx.el.span(label), rx.el.span(about, class_name="help")),
        class_name="switch",
    )


def _error(name: str) -> rx.Var[str]:
    return rx.cond(AgentPage.error_at == name, AgentPage.error, "")


def _code() -> rx.Component:
    path = f"/v1/agents/{AgentPage.id}"
    return code_drawer(
        ("Change the draft", curl("PATCH", Session.address, path, '{"instructions": "Be brief."}')),
        ("Publish it", curl("POST", Session.address, f"{path}/versions", '{"note": "Briefer"}')),
        ("Make a version live", curl("POST", Session.address, f"{path}/rollout", '{"version": 1, "percent": 100}')),
    )
