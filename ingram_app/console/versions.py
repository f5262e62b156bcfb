"""An agent's versions: who published which and when, how two of them differ, and the way back into the draft."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.address import asked, named, place_of
from ingram_app.console.agent_head import AgentHead
from ingram_app.console.dialogs import confirm, open_dialog
from ingram_app.console.differences import Difference, differences, side_by_side
from ingram_app.console.figures import author, moment
from ingram_app.console.lists import list_table
from ingram_app.console.looks import badge, button, link_button, relative_time, section
from ingram_app.console.session import Choice, Session, standing
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound
from ingram_app.domain import agents, versions
from ingram_app.domain.agents import Agent, AgentVersion
from ingram_app.domain.versions import DRAFT


@dataclass
class VersionRow:
    number: int
    note: str
    by: str
    at: str
    state: str
    """`live`, `rolling out`, or empty."""

    @classmethod
    def of(cls, version: AgentVersion, agent: Agent) -> "VersionRow":
        states = {agent.rollout_version: "rolling out", agent.active_version: "live"}
        return cls(
            number=version.version,
            note=version.note or "",
            by=author(version.created_by),
            at=moment(version.created_at),
            state=states.get(version.version, ""),
        )


class Versions(rx.State):
    rows: list[VersionRow] = []
    older: str = ""
    choices: list[Choice] = []
    before: str = ""
    after: str = ""
    """The two that are compared: numbers, or `draft`."""
    shown: list[Difference] = []
    missing: bool = False
    candidate: int = 0
    """The version that is about to be restored."""

    @rx.event
    async def load(self):
        """Show the versions of the agent that the address names, and the two that it compares."""
        caller = await standing(self)
        if asked(self, "tab") != "versions":
            return
        wanted = named(self, "agents")
        one, other = asked(self, "a"), asked(self, "b")
        try:
            async with transaction(caller.tenancy) as session:
                agent = await agents.find(session, caller, wanted)
                found = await versions.browse(session, caller, wanted, place_of(self))
        except NotFound:
            return self.reset()  # the page says so
        self.rows, self.older = [VersionRow.of(version, agent) for version in found.data], found.next_cursor or ""
        self.choices = [
            Choice(DRAFT, "Draft"),
            *(Choice(str(row.number), f"Version {row.number}") for row in self.rows),
        ]
        self.before, self.after, self.shown, self.missing = one, other, [], False
        if one and other:
            try:
                async with transaction(caller.tenancy) as session:
                    compared = await versions.compare(session, caller, wanted, one, other)
                self.shown = differences(compared.changes)
            except NotFound:
                self.missing = True

    @rx.event
    async def compare(self, form: dict[str, Any]):
        """Compare the two that were chosen, at an address of their own."""
        await standing(self)
        one, other = str(form.get("a", "")), str(form.get("b", ""))
        return rx.redirect(f"{self.router.url.path}?tab=versions&a={_word(one)}&b={_word(other)}")

    @rx.event
    def ask_restore(self, number: int):
        """Ask whether this version is to replace the draft."""
        self.candidate = number
        return open_dialog("restore")

    @rx.event
    async def restore(self):
        """Put the candidate into the draft."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await versions.restore(session, caller, named(self, "agents"), self.candidate)
        return [AgentHead.load, Versions.load, rx.toast.success(f"Version {self.candidate} is the draft again")]


def _word(chosen: str) -> str:
    return chosen if chosen.isascii() and chosen.isalnum() else ""


def tab() -> rx.Component:
    """The versions, and below them how two differ."""
    return rx.el.div(
        section(
            "Versions",
            "A version never changes. The first goes live by itself; later ones wait for a rollout.",
            list_table(
                ["Version", "Note", "By", "Published", "State", ""],
                Versions.rows,
                _cells,
                label="Versions",
                older=Versions.older,
                empty=rx.el.p("Nothing has been published yet.", class_name="muted small"),
            ),
        ),
        rx.cond(Versions.rows.length() > 0, _comparison()),
        class_name="stack wide-gap tab",
    )


def _cells(row: VersionRow) -> list[Any]:
    path = rx.State.router.url.path
    deeds = rx.el.div(
        rx.cond(
            row.state != "live", link_button("Roll out …", f"{path}?tab=rollout&version={row.number}", kind="slim")
        ),
        button("Restore …", kind="slim plain", on_click=Versions.ask_restore(row.number)),
        class_name="row end",
    )
    return [
        rx.el.span(f"Version {row.number}", class_name="strong"),
        rx.el.span(rx.cond(row.note != "", row.note, "–"), class_name="note"),
        row.by,
        relative_time(row.at),
        rx.cond(row.state != "", badge(row.state), "–"),
        rx.cond(Session.builds, deeds),
    ]


def _comparison() -> rx.Component:
    def select(name: str, label: str, value: rx.Var[str]) -> rx.Component:
        return rx.el.select(
            rx.foreach(Versions.choices, lambda choice: rx.el.option(choice.name, value=choice.id)),
            name=name,
            aria_label=label,
            default_value=value,
            class_name="input",
        )

    return section(
        "Compare",
        "What differs between two of them, field by field.",
        rx.el.form(
            select("a", "Before", Versions.before),
            rx.el.span("with", class_name="muted"),
            select("b", "After", Versions.after),
            button("Compare", type="submit"),
            class_name="inline",
            key=f"{Versions.before} {Versions.after} {Versions.choices.length()}",
            on_submit=Versions.compare,
        ),
        rx.cond(
            Versions.missing,
            rx.el.p("One of these is not there.", class_name="notice amber"),
            rx.cond(
                (Versions.before != "") & (Versions.after != ""),
                rx.cond(
                    Versions.shown.length() > 0,
                    side_by_side(Versions.shown, _called(Versions.before), _called(Versions.after)),
                    rx.el.p("Nothing differs.", class_name="notice"),
                ),
            ),
        ),
    )


def _called(which: rx.Var[str]) -> rx.Var[str]:
    return rx.cond(which == DRAFT, "Draft", f"Version {which}")


def dialog() -> rx.Component:
    """What asks before the draft is replaced."""
    return confirm(
        "restore",
        f"Restore version {Versions.candidate}",
        "It replaces the draft; what only stands there is lost. What is live stays as it is.",
        deed="Replace the draft",
        on_confirm=Versions.restore,
    )
