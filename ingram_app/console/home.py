"""Home: three steps to the first reply, ticked off as they happen."""

import asyncio
from contextlib import suppress

import reflex as rx
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.console.dialogs import curl, shown_secret
from ingram_app.console.looks import button, code, head, link_button, skeleton
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.core import signals
from ingram_app.core.database import transaction
from ingram_app.domain import runs, smiths, tokens
from ingram_app.domain.access import Caller
from ingram_app.domain.paging import Place
from ingram_app.domain.runs import Run, RunStatus
from ingram_app.domain.tokens import Kind

_ONE = Place(limit=1)
_LOOK_AGAIN_SECONDS = 2
"""Keys and smiths send no signal when they are made."""


class Home(rx.State):
    loaded: bool = False
    has_key: bool = False
    smith_id: str = ""
    """The newest, for the third step."""
    run_id: str = ""
    reply: str = ""
    secret: str = ""
    """A key that has just been made, until it is stored."""

    @rx.event
    async def load(self):
        """Show how far the project is."""
        caller = await standing(self)
        self.loaded, self.secret = False, ""
        await self._look(caller)
        self.loaded = True

    @rx.event(background=True)
    async def follow(self):
        """Tick off the steps as they happen."""
        caller = await standing(self)
        with signals.listening(runs.topic(caller.project_id)) as heard:
            while not self.reply:
                with suppress(TimeoutError):
                    await asyncio.wait_for(heard.get(), _LOOK_AGAIN_SECONDS)
                async with self:
                    await self._look(await standing(self))

    @rx.event
    async def make_key(self):
        """Make an admin key and show it, this once."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            minted = await tokens.mint(session, caller, kind=Kind.admin, name="Made on Home")
        self.secret, self.has_key = minted.words, True

    @rx.event
    async def forget(self):
        """The key has been stored."""
        await standing(self)
        self.secret = ""

    async def _look(self, caller: Caller) -> None:
        async with transaction(caller.tenancy) as session:
            # viewers and members see the steps too, not who may make keys
            self.has_key = bool((await tokens.browse(session, caller, _ONE)).data)
            newest = (await smiths.browse(session, caller, _ONE)).data
            answered = await _answered(session, caller)
        self.smith_id = newest[0].smith.id if newest else ""
        self.run_id, self.reply = (answered.id, _text(answered)) if answered else ("", "")


async def _answered(session: AsyncSession, caller: Caller) -> Run | None:
    found = (await runs.browse(session, caller, _ONE, status=RunStatus.completed)).data
    return found[0] if found else None


def _text(run: Run) -> str:
    text = str((run.output or {}).get("content") or "")
    return (text[:400] + " …" if len(text) > 400 else text) or "An empty reply."


@page("/p/[project]", title="Home", on_load=[Home.load, Home.follow])
def home() -> rx.Component:
    return rx.fragment(
        head(
            "Home",
            f"Three steps to the first reply. The API is at {Session.address}.",
            link_button("API reference", "/docs", reload_document=True),
        ),
        rx.cond(Home.loaded, rx.el.ol(_key(), _smith(), _run(), class_name="steps"), skeleton()),
    )


def _step(number: int, done: rx.Var[bool], title: str, *body: rx.Component) -> rx.Component:
    mark = rx.cond(
        done,
        rx.el.span(rx.icon("check", size=14, aria_label="Done"), class_name="mark done"),
        rx.el.span(str(number), class_name="mark", aria_hidden="true"),
    )
    return rx.el.li(mark, rx.el.div(rx.el.h2(title), *body, class_name="body"), class_name="step")


def _key() -> rx.Component:
    made = rx.el.div(
        rx.el.p("Shown this once; the commands below have it in them.", class_name="muted"),
        shown_secret(Home.secret),
        rx.el.div(button("I have stored it", on_click=Home.forget), class_name="row"),
        class_name="stack tight grow",
        style={"align_self": "stretch"},
    )
    ask = rx.fragment(
        rx.el.p(
            rx.cond(
                Home.has_key,
                "There is a key. Put it into TOKEN, or make another.",
                "It lets your program act for the whole project. Keep it on your server.",
            ),
            class_name="muted",
        ),
        rx.cond(
            Session.manages,
            button("Make a key", kind=rx.cond(Home.has_key, "", "main"), on_click=Home.make_key),
            rx.cond(Home.has_key, rx.fragment(), rx.el.p("Ask an owner or admin for one.", class_name="muted")),
        ),
    )
    return _step(1, Home.has_key, "Make a key", rx.cond(Home.secret != "", made, ask))


def _smith() -> rx.Component:
    return _step(
        2,
        Home.smith_id != "",
        "Make a smith",
        rx.el.p("A smith is the private assistant of one of your users, whom you name as you do.", class_name="muted"),
        code(_call("/v1/smiths", '{"external_id": "user-4711", "display_name": "Ada"}'), "Make a smith"),
    )


def _run() -> rx.Component:
    smith = rx.cond(Home.smith_id != "", Home.smith_id, "$SMITH")
    say = '{"input": [{"role": "user", "content": "Say hello to Ada."}], "thread_id": "first", "stream": true}'
    return _step(
        3,
        Home.reply != "",
        "Say something to it",
        rx.el.p("The reply streams into your terminal. ", _which_smith(), class_name="muted"),
        code(_call(f"/v1/smiths/{smith}/runs", say), "Say something"),
        rx.cond(
            Home.reply != "",
            rx.el.figure(
                rx.el.figcaption("The newest reply", class_name="small muted"),
                rx.el.blockquote(Home.reply),
                link_button("Look into the run", f"/p/{Session.project_id}/runs/{Home.run_id}"),
                class_name="reply",
            ),
        ),
    )


def _which_smith() -> rx.Component:
    return rx.cond(
        Home.smith_id != "",
        "The command names your newest smith.",
        "Put the id that step 2 answered with into SMITH; once it is there, this page fills it in.",
    )


def _call(path: str, body: str) -> rx.Var[str]:
    return curl("POST", Session.address, path, body, token=rx.cond(Home.secret != "", Home.secret, "$TOKEN"))
