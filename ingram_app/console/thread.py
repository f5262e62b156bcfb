"""One thread: the conversation, its runs beside it, its summary. Live while one works."""

from contextlib import aclosing
from typing import Any
from urllib.parse import quote

import reflex as rx

from ingram_app.console.address import is_at, named, or_not_here, place_of
from ingram_app.console.dialogs import close_dialog, code_button, code_drawer, confirm_by_name, curl, form_dialog
from ingram_app.console.figures import counted, moment
from ingram_app.console.following import arrived, gulped, topic
from ingram_app.console.lists import with_query
from ingram_app.console.looks import (
    badge,
    button,
    facts,
    field,
    link,
    link_button,
    one_thing,
    relative_time,
    skeleton,
    split,
)
from ingram_app.console.run_rows import RunRow, called, rows_of
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.console.story import Story
from ingram_app.console.thread_lines import Line, id_of, key_of, lines_of, show_pictures, shown, waiting
from ingram_app.core import signals
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid
from ingram_app.domain import attachments, conversations, runs, smiths, threads
from ingram_app.domain.access import Caller
from ingram_app.domain.conversations import Conversation, Said
from ingram_app.domain.paging import Place
from ingram_app.domain.runs import PAUSED

_RUNS = Place(limit=20)
"""Runs that stand beside the conversation."""


class ThreadPage(rx.State):
    key: str = ""
    """The id as it stands in the address."""
    id: str = ""
    title: str = ""
    smith_id: str = ""
    who: str = ""
    turns: int = 0
    created: str = ""
    last_activity: str = ""
    loss: str = ""
    summary: str = ""
    summary_reaches: int = 0
    summary_made: str = ""
    lines: list[Line] = []
    older: str = ""
    runs: list[RunRow] = []
    live_run: str = ""
    live: str = ""
    """What is being said."""
    waits: str = ""
    """The state of the live run, when it waits for somebody."""
    talk_path: str = ""
    code_path: str = ""
    refusal: str = ""
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show the thread that the address names."""
        caller = await standing(self)
        if named(self, "threads") != self.key:
            self.reset()
        await self._read(caller)
        signals.publish(topic(self))

    @rx.event(background=True)
    async def follow(self):
        """Tell what is said on the thread, for as long as the tab shows it."""
        caller = await standing(self)
        smith_id, key = named(self, "smiths"), named(self, "threads")
        await arrived(self, lambda: self.key == key)
        with or_not_here("thread"):
            async with transaction(caller.tenancy) as session:
                thread = await threads.find(session, caller, smith_id, id_of(key))
                since = await conversations.point(session, thread, None)
        story = Story()
        async with aclosing(gulped(self, conversations.follow(thread, since))) as told:
            async for gulp in told:
                story = self._heard(story, gulp)
                async with self:
                    if self.key != key:
                        return
                    self.live_run = gulp[-1].run_id if gulp else self.live_run
                    self.live = story.said
                    if self.waits or any(said.frame.event.startswith("run.") for said in gulp):
                        await self._read(caller)

    @rx.event
    async def rename(self, form: dict[str, Any]):
        """Give the thread the title that was typed."""
        caller = await standing(self)
        try:
            async with transaction(caller.tenancy) as session:
                thread = await threads.rename(session, caller, *self._whose(), str(form.get("title", "")))
        except Invalid as error:
            self.refusal = error.sentence
            return None
        self.title, self.refusal = thread.title, ""
        return [close_dialog("rename-thread"), rx.toast.success("Renamed")]

    @rx.event
    async def delete(self, form: dict[str, Any]):
        """Delete the thread, if its title was typed."""
        caller = await standing(self)
        smith_id, thread_id = self._whose()
        async with transaction(caller.tenancy) as session:
            thread = await threads.find(session, caller, smith_id, thread_id)
            if form.get("name") != thread.title:
                return rx.toast.error("That is not its title. Nothing was deleted.")
            live = await conversations.stop(session, caller, smith_id, thread_id)
        await conversations.stopped(caller.project_id, live)
        async with transaction(caller.tenancy) as session:
            await conversations.remove(session, caller, smith_id, thread_id)
        there = f"/p/{caller.project_id}/smiths/{smith_id}?tab=threads"
        return [rx.redirect(there), rx.toast.success("Deleted")]

    @rx.event
    async def download(self, sha256: str):
        """Hand out a picture or file."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            found = await attachments.find(session, caller, named(self, "smiths"), sha256)
        return rx.download(data=found.content, filename=f"{found.sha256[:12]}{found.suffix}")

    def _whose(self) -> tuple[str, str]:
        return named(self, "smiths"), id_of(named(self, "threads"))

    def _heard(self, story: Story, gulp: list[Said]) -> Story:
        """Return the story of the run that speaks, with what it has just said."""
        for said in gulp:
            if said.run_id != self.live_run and said.frame.seq == 1:
                story = Story()
            story.hear([said.frame])
        return story

    async def _read(self, caller: Caller) -> None:
        smith_id, thread_id = self._whose()
        with or_not_here("thread"):
            async with transaction(caller.tenancy) as session:
                found = await conversations.find(session, caller, smith_id, thread_id)
                clone = await smiths.find(session, caller, smith_id)
                said = await conversations.messages(session, caller, smith_id, thread_id, place_of(self))
                lines = lines_of(reversed(said.data))
                await show_pictures(session, caller, smith_id, lines)
                took = await runs.browse(session, caller, _RUNS, smith_id=smith_id, thread_id=thread_id)
                beside = await rows_of(session, caller, took.data)
        self.lines, self.older, self.runs = lines, said.next_cursor or "", beside
        if all(run.over for run in took.data):
            self.live = self.live_run = ""
        paused = next((run for run in took.data if run.status in PAUSED), None)
        self.waits = paused.status.value if paused else ""
        self.live_run = paused.id if paused else self.live_run
        self.who = called(clone.smith)
        self._show(found)

    def _show(self, found: Conversation) -> None:
        thread, summary = found.thread, found.summary
        self.key, self.id, self.title, self.smith_id = key_of(thread.id), thread.id, thread.title, thread.smith_id
        self.turns = thread.run_count
        self.created, self.last_activity = moment(thread.created_at), moment(thread.last_activity_at)
        self.summary = summary.text if summary else ""
        self.summary_reaches, self.summary_made = (summary.reaches, moment(summary.created_at)) if summary else (0, "")
        self.loss = (
            f"All that was said goes, in {counted(thread.run_count, 'turn')}, with pictures and files, and a run that"
            " works is stopped. What its runs used and cost is kept. This can not be undone."
        )
        root = f"/p/{thread.project_id}/smiths/{thread.smith_id}"
        self.talk_path = f"{root}?tab=playground&thread={quote(thread.id, safe='')}"
        self.code_path = f"/v1/smiths/{thread.smith_id}/threads/{quote(thread.id, safe='')}"
        self.loaded = True


@page(
    "/p/[project]/smiths/[smith_id]/threads/[thread_key]",
    title="Thread",
    on_load=[ThreadPage.load, ThreadPage.follow],
)
def thread_page() -> rx.Component:
    return rx.cond(
        ThreadPage.loaded & is_at(ThreadPage.key),
        rx.fragment(_top(), split(_conversation(), _beside()), _rename(), _delete(), _code()),
        skeleton(),
    )


def _top() -> rx.Component:
    deeds = rx.fragment(
        button("Rename …", opens="rename-thread"),
        button("Delete …", kind="danger", opens="delete-thread"),
        link_button("Talk", ThreadPage.talk_path, kind="main"),
    )
    return rx.el.div(
        link(
            ThreadPage.who, href=f"/p/{Session.project_id}/smiths/{ThreadPage.smith_id}?tab=threads", class_name="crumb"
        ),
        one_thing(ThreadPage.title, ThreadPage.id, code_button(), rx.cond(Session.builds, deeds)),
    )


def _conversation() -> rx.Component:
    live = rx.el.div(
        rx.el.h3("Smith"),
        rx.cond(ThreadPage.live != "", rx.el.p(ThreadPage.live, class_name="words", aria_live="off")),
        rx.cond(
            ThreadPage.waits != "",
            waiting(ThreadPage.waits, ThreadPage.live_run),
            rx.cond(ThreadPage.live == "", rx.el.p("Works", class_name="at-work")),
        ),
        class_name="turn",
    )
    return rx.el.section(
        rx.el.h2("Conversation", class_name="visually-hidden"),
        rx.cond(ThreadPage.summary != "", _summary()),
        rx.cond(
            ThreadPage.older != "",
            link("Earlier messages", class_name="button slim", href=with_query("cursor", ThreadPage.older)),
        ),
        rx.foreach(ThreadPage.lines, lambda line: shown(line, ThreadPage.download)),
        rx.cond(ThreadPage.live_run != "", live),
        rx.cond(
            (ThreadPage.lines.length() == 0) & (ThreadPage.live_run == ""),
            rx.el.p("Nothing is remembered of this thread: none of its turns came to an end.", class_name="muted"),
        ),
        class_name="story",
    )


def _summary() -> rx.Component:
    return rx.el.details(
        rx.el.summary(f"What is remembered of turns 1 to {ThreadPage.summary_reaches}, in short"),
        rx.el.p(ThreadPage.summary),
        rx.el.p("Made ", relative_time(ThreadPage.summary_made), ". The model is told this in place of those turns."),
        class_name="reasoning",
    )


def _beside() -> rx.Component:
    run = lambda row: rx.el.li(  # noqa: E731 - a piece of the list, not a function of the page
        link(relative_time(row.at), href=f"/p/{Session.project_id}/runs/{row.id}"), badge(row.status), row.took
    )
    return rx.el.div(
        facts(
            ("Smith", link(ThreadPage.who, href=_smith_path())),
            ("Turns", ThreadPage.turns.to_string()),
            ("Begun", relative_time(ThreadPage.created)),
            ("Last activity", relative_time(ThreadPage.last_activity)),
        ),
        rx.el.h2("Runs", class_name="beside-head"),
        rx.el.ul(rx.foreach(ThreadPage.runs, run), class_name="beside"),
        class_name="stack",
    )


def _smith_path() -> rx.Var[str]:
    return rx.Var.create(f"/p/{Session.project_id}/smiths/{ThreadPage.smith_id}").to(str)


def _rename() -> rx.Component:
    return form_dialog(
        "rename-thread",
        "Rename this thread",
        "The title is for people; the id stays.",
        field("title", "Title", default_value=ThreadPage.title, error=ThreadPage.refusal, max_length=80),
        deed="Rename",
        on_submit=ThreadPage.rename,
    )


def _delete() -> rx.Component:
    return confirm_by_name(
        "delete-thread",
        "Delete this thread",
        ThreadPage.loss,
        name=ThreadPage.title,
        deed="Delete",
        on_confirm=ThreadPage.delete,
    )


def _code() -> rx.Component:
    return code_drawer(
        ("Read it", curl("GET", Session.address, ThreadPage.code_path)),
        ("What was said", curl("GET", Session.address, f"{ThreadPage.code_path}/messages")),
        ("Follow it", curl("GET", Session.address, f"{ThreadPage.code_path}/events")),
        ("Rename it", curl("PATCH", Session.address, ThreadPage.code_path, '{"title": "A better title"}')),
        ("Delete it", curl("DELETE", Session.address, ThreadPage.code_path)),
    )
