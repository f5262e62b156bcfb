"""One smith: who it is for, what it runs with, its threads and runs, and a place to talk to it."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import reflex as rx

from ingram_app.console import (
    accounts,
    overrides,
    person,
    playground,
    profile,
    smith_memory,
    smith_revisions,
    smith_story,
    smith_tokens,
)
from ingram_app.console.accounts import Accounts
from ingram_app.console.address import asked, is_at, named, or_not_here, place_of
from ingram_app.console.dialogs import code_button, code_drawer, curl
from ingram_app.console.figures import moment, thread_end
from ingram_app.console.lists import list_table
from ingram_app.console.looks import facts, link, link_button, one_thing, relative_time, short_id, skeleton, split
from ingram_app.console.overrides import Overrides
from ingram_app.console.person import Person
from ingram_app.console.playground import Playground
from ingram_app.console.profile import Profile
from ingram_app.console.run_rows import COLUMNS, RunRow, called, cells, rows_of
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.console.smith_memory import SmithMemory
from ingram_app.console.smith_revisions import SmithRevisions
from ingram_app.console.smith_story import SmithStory
from ingram_app.console.smith_tokens import SmithTokens
from ingram_app.console.thread_lines import key_of
from ingram_app.core.database import transaction
from ingram_app.domain import runs, smiths, threads
from ingram_app.domain.smiths import Clone
from ingram_app.domain.threads import Thread

_VIEWS = [
    ("", "Overview"),
    ("threads", "Threads"),
    ("runs", "Runs"),
    ("memory", "Memory"),
    ("connections", "Connections"),
    ("tokens", "Tokens"),
    ("revisions", "Revisions"),
    ("profile", "Profile"),
    ("playground", "Playground"),
]
_LOADS = [
    SmithStory.load,
    Overrides.load,
    Accounts.load,
    SmithTokens.load,
    SmithRevisions.load,
    Profile.load,
    Person.load,
    *smith_memory.LOADS,
]


@dataclass
class ThreadRow:
    id: str
    key: str
    """The id as it stands in a path of the console."""
    spelt: str
    """The id as it stands in a query."""
    end: str
    title: str
    turns: int
    last_activity: str

    @classmethod
    def of(cls, thread: Thread) -> "ThreadRow":
        return cls(
            thread.id,
            key_of(thread.id),
            quote(thread.id, safe=""),
            thread_end(thread.id),
            thread.title,
            thread.run_count,
            moment(thread.last_activity_at),
        )


class SmithPage(rx.State):
    id: str = ""
    who: str = ""
    tab: str = ""
    external_id: str = ""
    design: str = ""
    design_id: str = ""
    version: str = ""
    pinned: bool = False
    customer: str = ""
    created: str = ""
    threads: list[ThreadRow] = []
    runs: list[RunRow] = []
    older: str = ""
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show the smith that the address names, and the part of it that the tab asks for."""
        caller = await standing(self)
        wanted = named(self, "smiths")
        if wanted != self.id:
            self.reset()
        self.tab, self.older = asked(self, "tab"), ""
        with or_not_here("smith"):
            async with transaction(caller.tenancy) as session:
                clone = await smiths.find(session, caller, wanted)
                if self.tab == "threads":
                    found = await threads.browse(session, caller, wanted, place_of(self))
                    self.threads, self.older = [ThreadRow.of(thread) for thread in found.data], found.next_cursor or ""
                if self.tab == "runs":
                    took = await runs.browse(session, caller, place_of(self), smith_id=wanted)
                    self.runs, self.older = await rows_of(session, caller, took.data), took.next_cursor or ""
        self._show(clone)

    def _show(self, clone: Clone) -> None:
        smith = clone.smith
        self.id, self.who, self.external_id = smith.id, called(smith), smith.external_id or ""
        self.design, self.design_id = clone.agent.name, clone.agent.id
        self.version = f"{clone.version}" if clone.version else "none is published"
        self.pinned = smith.pin is not None
        self.customer, self.created = smith.customer_id or "–", moment(smith.created_at)
        self.loaded = True


@page(
    "/p/[project]/smiths/[smith_id]",
    title="Smith",
    on_load=[*_LOADS, Playground.load, SmithPage.load, SmithMemory.follow, Playground.follow],
)
def smith_page() -> rx.Component:
    return rx.cond(
        SmithPage.loaded & is_at(SmithPage.id),
        rx.fragment(
            _top(),
            rx.match(
                SmithPage.tab,
                ("threads", _threads()),
                ("runs", _runs()),
                (smith_memory.TAB, smith_memory.tab()),
                (accounts.TAB, accounts.accounts()),
                ("tokens", smith_tokens.tab()),
                ("revisions", smith_revisions.tab()),
                (
                    "profile",
                    rx.el.div(profile.form(), person.requests(), profile.danger(), class_name="stack wide-gap narrow"),
                ),
                ("playground", _playground()),
                split(rx.el.div(smith_story.story(), overrides.fields(), class_name="stack wide-gap"), _facts()),
            ),
            profile.archive_dialog(),
            person.dialogs(),
            smith_tokens.dialogs(),
            smith_revisions.dialog(),
            smith_memory.dialogs(),
            overrides.dialog(),
            _code(),
        ),
        skeleton(),
    )


def _top() -> rx.Component:
    return rx.el.div(
        link("Smiths", href=f"/p/{Session.project_id}/smiths", class_name="crumb"),
        one_thing(
            SmithPage.who,
            SmithPage.id,
            code_button(),
            rx.cond(
                (SmithPage.tab != "playground") & Session.builds,
                link_button("Talk to it", _path("?tab=playground"), kind="main"),
            ),
            views=_VIEWS,
            current=SmithPage.tab,
        ),
    )


def _facts() -> rx.Component:
    return facts(
        ("External id", rx.cond(SmithPage.external_id != "", rx.el.code(SmithPage.external_id), "none")),
        ("Agent", link(SmithPage.design, href=f"/p/{Session.project_id}/agents/{SmithPage.design_id}")),
        ("Agent version", rx.cond(SmithPage.pinned, f"{SmithPage.version}, pinned", SmithPage.version)),
        ("Customer", SmithPage.customer),
        ("Created", relative_time(SmithPage.created)),
    )


def _threads() -> rx.Component:
    return list_table(
        ["Thread", "Id", "Turns#", "Last activity", ""],
        SmithPage.threads,
        lambda row: [
            rx.el.span(row.title, class_name="clip wide"),
            short_id(row.id, row.end),
            row.turns,
            relative_time(row.last_activity),
            rx.el.span(link("Talk", href=_path(f"?tab=playground&thread={row.spelt}"))),
        ],
        label="Threads",
        href=lambda row: _path(f"/threads/{row.key}"),
        older=SmithPage.older,
        empty=rx.el.p("No conversation yet. The playground begins one.", class_name="muted none-match"),
    )


def _runs() -> rx.Component:
    return list_table(
        COLUMNS,
        SmithPage.runs,
        cells,
        label="Runs",
        href=lambda row: f"/p/{Session.project_id}/runs/{row.id}",
        older=SmithPage.older,
        empty=rx.el.p("This smith has not run yet.", class_name="muted none-match"),
    )


def _playground() -> rx.Component:
    return playground.playground(
        "Talk to this smith",
        "Each message is a real run, on the smith's own thread and model, and is recorded under Runs.",
    )


def _path(query: Any) -> rx.Var[str]:
    return rx.Var.create(f"/p/{Session.project_id}/smiths/{SmithPage.id}{query}").to(str)


def _code() -> rx.Component:
    path = f"/v1/smiths/{SmithPage.id}"
    said = '{"input": [{"role": "user", "content": "Hello"}], "thread_id": "first", "stream": true}'
    return code_drawer(
        ("Talk to it", curl("POST", Session.address, f"{path}/runs", said)),
        ("Override a field", curl("PATCH", Session.address, path, '{"instructions": "Answer in French."}')),
        ("Take the override back", curl("PATCH", Session.address, path, '{"instructions": null}')),
        ("Its threads", curl("GET", Session.address, f"{path}/threads")),
        (
            "A token for its person's browser",
            curl(
                "POST",
                Session.address,
                "/v1/tenant/tokens",
                f'{{"smith_id": "{SmithPage.id}", "permissions": ["runs:read", "runs:write"], "ttl_seconds": 3600}}',
            ),
        ),
        ("Remember a fact", curl("POST", Session.address, f"{path}/memories", '{"content": "Likes tea."}')),
        ("What it would recall", curl("POST", Session.address, f"{path}/memories/search", '{"query": "drinks"}')),
        ("Go back to a revision", curl("POST", Session.address, f"{path}/revisions/1/restore")),
        ("All that is held about the person", curl("GET", Session.address, f"{path}/export")),
    )
