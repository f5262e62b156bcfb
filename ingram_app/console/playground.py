"""The playground: talk to a smith as its user would, on real threads, with real runs.

On an agent's page one talks to its draft, through a scratch smith of one's own.
"""

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import reflex as rx
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.console.address import asked, named
from ingram_app.console.figures import counted, duration, moment, money
from ingram_app.console.following import gulps, topic
from ingram_app.console.looks import alert, button, link, relative_time
from ingram_app.console.session import Session, standing
from ingram_app.console.story import Story
from ingram_app.core import signals
from ingram_app.core.database import transaction
from ingram_app.core.errors import IngramError
from ingram_app.domain import frames, runs, tryouts, turns
from ingram_app.domain.access import Caller
from ingram_app.domain.paging import Place
from ingram_app.domain.runs import Run, RunStatus
from ingram_app.domain.turns import Turn

_SHOWN = Place(limit=30)
"""Turns of the thread that are shown; the Runs page has those before."""


@dataclass
class Exchange:
    """A turn as the playground shows it."""

    id: str
    asked: str
    reply: str
    status: str
    error: str
    figures: str
    at: str
    over: bool

    @classmethod
    def of(cls, run: Run, partly: str = "") -> "Exchange":
        said = [turns.words(message["content"]) for message in run.input if message["role"] == "user"]
        used = run.usage
        figures = [duration(run.started_at, run.finished_at)]
        if used:
            figures += [counted(used["total_tokens"], "token"), money(run.cost_micros)]
        return cls(
            id=run.id,
            asked="\n".join(said),
            reply=(run.output or {}).get("content") or partly,
            status=run.status.value,
            error=(run.error or {}).get("message", ""),
            figures=" · ".join(figures) if run.over else "",
            at=moment(run.created_at),
            over=run.over,
        )


class Playground(rx.State):
    thread: str = ""
    turns: list[Exchange] = []
    live_run: str = ""
    live: str = ""
    """What is being said."""
    thinking: bool = False
    paused: bool = False
    """The live run waits for a person, or for a program."""
    refusal: str = ""
    """Why the last message was not taken."""
    loaded: bool = False
    _smith: str = ""

    @rx.event
    async def load(self):
        """Show the thread that the address names."""
        caller = await standing(self)
        if asked(self, "tab") != "playground":
            return self.reset()
        thread = asked(self, "thread")
        async with transaction(caller.tenancy) as session:
            wanted = named(self, "smiths") or await tryouts.mine(session, caller, named(self, "agents")) or ""
            if (wanted, thread) != (self._smith, self.thread):
                self.reset()
            self._smith, self.thread = wanted, thread
            if wanted and thread:
                found = await runs.browse(session, caller, _SHOWN, smith_id=wanted, thread_id=thread)
                self._show([await _exchange_of(session, run) for run in reversed(found.data)])
        self.loaded = True

    @rx.event
    async def say(self, form: dict[str, Any]):
        """Start a run with what was typed."""
        caller = await standing(self)
        if self.live_run:
            return None
        thread = asked(self, "thread")
        said = [{"role": "user", "content": str(form.get("say", ""))}]
        try:
            async with transaction(caller.tenancy) as session:
                wanted = named(self, "smiths") or await tryouts.begin(session, caller, named(self, "agents"))
                turn = Turn(said, thread_id=thread or None, channel="console")
                run = await runs.start(session, caller, wanted, turn)
        except IngramError as error:
            self.refusal = error.sentence
            return None
        self.refusal, self._smith, self.thread = "", wanted, run.thread_id
        self._show([*self.turns, Exchange.of(run)][-_SHOWN.limit :])
        cleared = rx.set_value("say", "")
        if thread:
            signals.publish(topic(self))
            return cleared
        path = self.router.url.path
        return [cleared, rx.redirect(f"{path}?tab=playground&thread={run.thread_id}", replace=True)]

    @rx.event(background=True)
    async def follow(self):
        """Tell what live runs say, for as long as the tab shows this thread."""
        caller = await standing(self)
        with signals.listening(topic(self)) as heard:
            while True:
                async with self:
                    run_id = self.live_run
                if run_id:
                    await self._follow(caller, run_id)
                else:
                    await heard.get()

    @rx.event
    async def stop(self):
        """Stop what is being said."""
        caller = await standing(self)
        if self.live_run:
            async with transaction(caller.tenancy) as session:
                await runs.cancel(session, caller, self._smith, self.live_run, f"stopped by {caller.actor.email}")

    @rx.event
    async def start_over(self):
        """Forget all that was said to the draft."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await tryouts.end(session, caller, named(self, "agents"))
        self.reset()
        return rx.redirect(f"{self.router.url.path}?tab=playground", replace=True)

    async def _follow(self, caller: Caller, run_id: str) -> None:
        """Tell one run up to its end."""
        story = Story()
        async with aclosing(gulps(self, caller.project_id, run_id)) as told:
            async for gulp in told:
                story.hear(gulp)
                async with self:
                    if self.live_run != run_id:
                        return
                    self._tell(story)
        async with transaction(caller.tenancy) as session:
            ended = await _exchange_of(session, await runs.look_up(session, caller, run_id))
        async with self:
            if self.live_run == run_id:
                self._show([ended if turn.id == run_id else turn for turn in self.turns])

    def _show(self, turns: list[Exchange]) -> None:
        live = next((turn.id for turn in turns if not turn.over), "")
        if live != self.live_run:
            self.live, self.thinking, self.paused = "", False, False
        self.turns, self.live_run = turns, live

    def _tell(self, story: Story) -> None:
        self.thinking = story.open is not None and story.open.event == "reasoning"
        self.live = story.said
        self.paused = bool(story.steps) and story.steps[-1].event == frames.RunPaused.name


async def _exchange_of(session: AsyncSession, run: Run) -> Exchange:
    """Return a turn with what was said; of one that was broken off, as far as it came."""
    if run.status not in (RunStatus.failed, RunStatus.cancelled):
        return Exchange.of(run)
    story = Story()
    story.hear(await frames.browse(session, run.project_id, run.id))
    return Exchange.of(run, story.said)


def playground(title: str, about: str, *deeds: rx.Component) -> rx.Component:
    """The conversation, and where to type; `title` and `about` invite to it, `deeds` are what else may be done."""
    return rx.el.div(
        rx.el.div(
            rx.el.p(
                rx.cond(
                    Playground.thread != "",
                    rx.fragment("Thread ", rx.el.code(Playground.thread)),
                    "A new thread begins with the first message.",
                ),
                class_name="muted small",
            ),
            rx.cond(
                Playground.thread != "",
                rx.el.div(
                    *deeds,
                    link("New thread", href=f"{rx.State.router.url.path}?tab=playground", class_name="button slim"),
                    class_name="row",
                ),
            ),
            class_name="row wide",
        ),
        rx.el.div(
            rx.el.div(
                rx.cond(
                    Playground.turns.length() > 0, rx.foreach(Playground.turns, _exchange), _invitation(title, about)
                )
            ),
            class_name="talk",
            tab_index=0,
            role="log",
            aria_label="Conversation",
        ),
        alert(Playground.refusal),
        rx.cond(Session.builds, _box(), rx.el.p("Your role may look, not talk.", class_name="muted small")),
        class_name="playground",
    )


def _invitation(title: str, about: str) -> rx.Component:
    return rx.el.div(
        rx.el.h2(title),
        rx.el.p(about),
        class_name="invitation",
    )


def _exchange(turn: Exchange) -> rx.Component:
    is_live = turn.id == Playground.live_run
    waits = rx.match(turn.status, ("queued", "Waits its turn"), rx.cond(Playground.thinking, "Thinks", "Works"))
    asks = rx.el.p(
        "Waits for an answer: ",
        link("the run shows to what", href=f"/p/{Session.project_id}/runs/{turn.id}"),
        class_name="notice amber",
    )
    return rx.el.article(
        rx.el.p(turn.asked, class_name="said mine"),
        rx.cond(is_live & Playground.paused, asks),
        rx.cond(
            is_live & ~Playground.paused,
            rx.cond(
                Playground.live != "",
                rx.el.p(Playground.live, class_name="said", aria_live="off"),
                rx.el.p(waits, class_name="at-work"),
            ),
            rx.cond(turn.reply != "", rx.el.p(turn.reply, class_name="said")),
        ),
        rx.cond(turn.error != "", rx.el.p(turn.error, class_name="notice red")),
        rx.cond(turn.status == "cancelled", rx.el.p("Stopped.", class_name="notice")),
        rx.el.p(
            relative_time(turn.at),
            rx.cond(turn.figures != "", rx.el.span(turn.figures)),
            link("Run", href=f"/p/{Session.project_id}/runs/{turn.id}", aria_label=f"Run {turn.id}"),
            class_name="figures",
        ),
    )


def _box() -> rx.Component:
    return rx.el.form(
        rx.el.textarea(
            id="say",
            name="say",
            class_name="input",
            placeholder="Message. Enter sends, Shift + Enter begins a line.",
            aria_label="Message",
            rows=2,
            auto_focus=True,
            custom_attrs={"data-enter-sends": ""},
        ),
        rx.cond(
            Playground.live_run != "",
            button("Stop", kind="danger", icon="square", on_click=Playground.stop),
            button("Send", kind="main", icon="send-horizontal", type="submit"),
        ),
        class_name="say-box",
        on_submit=Playground.say,
    )
