"""One run: its story first, then what happened in it, then the frames as they were sent. Live while it works."""

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console import raw_frames, told, waterfall
from ingram_app.console.address import is_at, named, or_not_here
from ingram_app.console.dialogs import code_button, code_drawer, curl
from ingram_app.console.figures import author, duration, moment, money
from ingram_app.console.following import arrived, gulps, topic
from ingram_app.console.looks import button, code, fact, facts, link, one_thing, relative_time, section, skeleton, split
from ingram_app.console.raw_frames import RawFrames
from ingram_app.console.run_rows import called
from ingram_app.console.run_waits import RunWaits, waits
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.console.story import MOST, Step, Story
from ingram_app.console.thread_lines import key_of
from ingram_app.console.told import Told
from ingram_app.console.waterfall import Waterfall
from ingram_app.core import signals
from ingram_app.core.database import transaction
from ingram_app.domain import agents, approvals, replays, runs, smiths, tool_calls, turns
from ingram_app.domain.access import Caller
from ingram_app.domain.runs import Run
from ingram_app.domain.smiths import Smith


@dataclass
class Said:
    """A message of the run's input."""

    role: str
    text: str


@dataclass
class Warned:
    code: str
    message: str


class RunPage(rx.State):
    id: str = ""
    status: str = ""
    over: bool = False
    who: str = ""
    smith_path: str = ""
    thread: str = ""
    thread_path: str = ""
    """Empty for a scratch smith's, and when the thread was deleted."""
    design: str = ""
    """The agent's name and version."""
    agent_path: str = ""
    model: str = ""
    channel: str = ""
    actor: str = ""
    created: str = ""
    started: str = ""
    took: str = ""
    tokens: str = ""
    cost: str = ""
    stop_reason: str = ""
    carriers_lost: int = 0
    error_code: str = ""
    error: str = ""
    warnings: list[Warned] = []
    asked: list[Said] = []
    steps: list[Step] = []
    hidden: int = 0
    """Steps past those shown."""
    live: str = ""
    """What is being said."""
    thinking: bool = False
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show the run that the address names."""
        caller = await standing(self)
        wanted = named(self, "runs")
        if wanted != self.id:
            self.reset()
        with or_not_here("run"):
            async with transaction(caller.tenancy) as session:
                run = await runs.look_up(session, caller, wanted)
                smith = (await smiths.known(session, caller, [run.smith_id]))[run.smith_id]
                agent = (await agents.known(session, caller, [run.agent_id]))[run.agent_id]
        version = f"version {run.agent_version}" if run.agent_version else "unpublished"
        self.design = f"{agent.name}, {version}"
        self._show(run, smith)
        signals.publish(topic(self))

    @rx.event(background=True)
    async def follow(self):
        """Tell the run's story, up to its end."""
        caller = await standing(self)
        wanted = named(self, "runs")
        story = Story()
        await arrived(self, lambda: self.id == wanted)
        async with aclosing(gulps(self, caller.project_id, wanted)) as told:
            async for gulp in told:
                story.hear(gulp)
                turned = any(frame.event.startswith(("run.", "tool.")) for frame in gulp)
                run = await self._read(caller, wanted, story) if turned else None
                async with self:
                    if self.id != wanted:
                        return
                    self._tell(story)
                    if run is not None:
                        self._show_state(run)
                if run is not None:
                    yield Waterfall.load
        async with self:
            stays = self.id == wanted
        if stays:  # it may have ended by being erased
            await self._read(caller, wanted, story)

    @rx.event
    async def cancel(self):
        """Stop the run."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            run = await runs.look_up(session, caller, named(self, "runs"))
            run = await runs.cancel(session, caller, run.smith_id, run.id, f"cancelled by {caller.actor.email}")
        self._show_state(run)

    @rx.event
    async def replay(self):
        """Answer the run's input once more, on a fresh thread, and show that run."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            run = await runs.look_up(session, caller, named(self, "runs"))
            again = await replays.replay(session, caller, run.smith_id, run.id)
        return [rx.redirect(f"/p/{caller.project_id}/runs/{again.id}"), rx.toast.success("Replayed")]

    async def _read(self, caller: Caller, wanted: str, story: Story) -> Run:
        with or_not_here("run"):
            async with transaction(caller.tenancy) as session:
                run = await runs.look_up(session, caller, wanted)
                asked = await approvals.of_run(session, run.project_id, run.id)
                story.fill(await tool_calls.of_run(session, run.project_id, run.id), asked)
        return run

    def _tell(self, story: Story) -> None:
        told = story.steps
        if len(told) != len(self.steps) + self.hidden:
            self.steps, self.hidden = told[:MOST], max(len(told) - MOST, 0)
        self.live = story.open.text if story.open else ""
        self.thinking = story.open is not None and story.open.event == "reasoning"

    def _show(self, run: Run, smith: Smith) -> None:
        root = f"/p/{run.project_id}"
        self.id, self.thread, self.model, self.channel = run.id, run.thread_id, run.model, run.channel
        self.who, self.smith_path = called(smith), f"{root}/smiths/{run.smith_id}"
        self.thread_path = f"{self.smith_path}/threads/{key_of(run.thread_id)}" if run.thread_id else ""
        if smith.tester_id is not None:  # its page is the agent's, where its teammate talks to the draft
            self.smith_path, self.thread_path = f"{root}/agents/{run.agent_id}", ""
        self.agent_path = f"{root}/agents/{run.agent_id}"
        self.actor = author(run.actor)
        self.asked = [Said(message["role"], turns.words(message["content"])) for message in run.input]
        self.created = moment(run.created_at)
        self._show_state(run)
        self.loaded = True

    def _show_state(self, run: Run) -> None:
        used = run.usage
        self.status, self.over, self.carriers_lost = run.status.value, run.over, run.carriers_lost
        self.started, self.took = moment(run.started_at), duration(run.started_at, run.finished_at)
        self.tokens = f"{used['input_tokens']:,} in, {used['output_tokens']:,} out" if used else "–"
        self.cost, self.stop_reason = money(run.cost_micros), run.stop_reason or "–"
        error = run.error or {}
        self.error_code, self.error = error.get("code", ""), error.get("message", "")
        self.warnings = [Warned(warning["code"], warning["message"]) for warning in run.warnings]


@page(
    "/p/[project]/runs/[run_id]",
    title="Run",
    on_load=[RunPage.load, Waterfall.load, RawFrames.hide, Told.hide, RunPage.follow, RunWaits.watch],
)
def run_page() -> rx.Component:
    return rx.cond(
        RunPage.loaded & is_at(RunPage.id), rx.fragment(_top(), split(_body(), _facts()), _code()), skeleton()
    )


def _top() -> rx.Component:
    stop = button("Cancel run", kind="danger", icon="square", on_click=RunPage.cancel)
    again = button("Replay", icon="rotate-ccw", on_click=RunPage.replay)
    return rx.el.div(
        link("Runs", href=f"/p/{Session.project_id}/runs", class_name="crumb"),
        one_thing(
            "Run",
            RunPage.id,
            code_button(),
            rx.cond(Session.builds, rx.cond(RunPage.over, again, stop)),
            status=RunPage.status,
        ),
    )


def _body() -> rx.Component:
    return rx.el.div(
        _story(), waterfall.waterfall(), told.shown(), _timeline(), raw_frames.shown(), class_name="stack wide-gap"
    )


def _story() -> rx.Component:
    waiting = (RunPage.status == "queued") | ((RunPage.status == "running") & (RunPage.live == ""))
    return rx.el.section(
        rx.el.h2("Story", class_name="visually-hidden"),
        rx.foreach(RunPage.asked, lambda said: _words(said.role, said.text)),
        rx.foreach(RunPage.steps, _told),
        waits(),
        rx.cond(
            RunPage.live != "",
            _words(rx.cond(RunPage.thinking, "reasoning", "smith"), RunPage.live),
            rx.cond(
                waiting, rx.el.p(rx.cond(RunPage.status == "queued", "Waits its turn", "Works"), class_name="at-work")
            ),
        ),
        rx.cond(
            RunPage.error_code != "",
            rx.el.p(RunPage.error, " ", rx.el.code(RunPage.error_code), class_name="notice red", role="alert"),
        ),
        rx.cond(RunPage.status == "cancelled", rx.el.p("The run was cancelled here.", class_name="notice")),
        rx.foreach(
            RunPage.warnings,
            lambda warning: rx.el.p(warning.message, " ", rx.el.code(warning.code), class_name="notice amber"),
        ),
        class_name="story",
    )


def _told(step: Step) -> rx.Component:
    """What of a step belongs to the story: words, and tools that were used."""
    return rx.cond(
        step.void,
        rx.fragment(),
        rx.match(
            step.event,
            ("message", _words("smith", step.text)),
            ("reasoning", rx.el.details(rx.el.summary("Reasoning"), rx.el.p(step.text), class_name="reasoning")),
            ("tool.completed", _used(step)),
            ("tool.required", rx.cond(step.outcome != "", _used(step))),
            rx.fragment(),
        ),
    )


def _used(step: Step) -> rx.Component:
    """A tool that was used: what with, and what came of it."""
    outcome = rx.cond(step.outcome != "", step.outcome, step.text)
    return rx.el.details(
        rx.el.summary(rx.icon("wrench", size=14, aria_hidden="true"), outcome, class_name="tool-line"),
        code(step.args, f"Arguments, step {step.seq}"),
        code(step.result, f"Result, step {step.seq}"),
        class_name="tool-use",
    )


def _words(role: Any, text: Any) -> rx.Component:
    return rx.el.div(
        rx.el.h3(rx.match(role, ("user", "User"), ("assistant", "Earlier reply"), ("reasoning", "Reasoning"), "Smith")),
        rx.el.p(text, class_name="words"),
        class_name=rx.cond(role == "user", "turn asked", "turn"),
    )


def _timeline() -> rx.Component:
    return section(
        "Timeline",
        "What happened, and how long after the start. A message that came in pieces is one step.",
        rx.el.ol(
            rx.foreach(RunPage.steps, _step),
            rx.cond(
                RunPage.live != "",
                rx.el.li(
                    rx.el.span("now", class_name="muted"),
                    rx.el.code(rx.cond(RunPage.thinking, "reasoning", "message")),
                    rx.el.span(f"{RunPage.live.length()} characters so far", class_name="muted"),
                ),
            ),
            class_name="timeline",
        ),
        rx.cond(
            RunPage.hidden > 0,
            rx.el.p(f"{RunPage.hidden} more steps. The API has all of them.", class_name="muted small"),
        ),
    )


def _step(step: Step) -> rx.Component:
    return rx.el.li(
        rx.el.span(step.after, title=step.at, class_name="muted"),
        rx.el.code(step.event),
        rx.el.span(
            rx.cond(step.void, rx.el.s(step.text), step.text),
            rx.cond(step.frames > 1, rx.el.span(f" · {step.frames} frames", class_name="muted")),
            class_name="clamp",
        ),
    )


def _facts() -> rx.Component:
    lost = RunPage.carriers_lost
    again = rx.cond(lost == 1, "after its process was lost", f"after its processes were lost, {lost} times")
    return facts(
        ("Smith", link(RunPage.who, href=RunPage.smith_path)),
        (
            "Thread",
            rx.cond(
                RunPage.thread_path != "",
                link(rx.el.code(RunPage.thread), href=RunPage.thread_path),
                rx.cond(RunPage.thread != "", rx.el.code(RunPage.thread), "deleted"),
            ),
        ),
        ("Agent", link(RunPage.design, href=RunPage.agent_path)),
        ("Model", rx.el.code(RunPage.model)),
        ("Channel", RunPage.channel),
        ("Asked by", RunPage.actor),
        ("Created", relative_time(RunPage.created)),
        ("Started", relative_time(RunPage.started)),
        ("Duration", RunPage.took),
        ("Tokens", RunPage.tokens),
        ("Cost", RunPage.cost),
        ("Stop reason", RunPage.stop_reason),
        rx.cond(RunPage.carriers_lost > 0, fact("Taken up again", again)),
    )


def _code() -> rx.Component:
    smith = RunPage.smith_path.split("/")[-1]
    path = f"/v1/smiths/{smith}/runs/{RunPage.id}"
    return code_drawer(
        ("Read it", curl("GET", Session.address, path)),
        ("Follow its frames", curl("GET", Session.address, f"{path}/events")),
        ("Cancel it", curl("POST", Session.address, f"{path}/submit", '{"kind": "cancel"}')),
    )
