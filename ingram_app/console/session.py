"""Who sits at a tab, and in which project they stand. Asked of the database again at every handler.

The edge puts the hash of the session's cookie into the websocket's handshake; the project stands in the address.
Nothing that the browser can set tells who somebody is.
"""

import asyncio
import json
import logging
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import quote

import reflex as rx
from reflex.event import EventSpec
from reflex.state import StateUpdate
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.database import NOBODY, transaction
from ingram_app.core.errors import IngramError, NotFound
from ingram_app.core.settings import settings
from ingram_app.domain import organizations, projects, sessions
from ingram_app.domain.access import Caller, Role
from ingram_app.domain.teammates import Teammate

log = logging.getLogger(__name__)
_PROJECT = re.compile(r"/p/([^/]+)")
_LOOK_AGAIN_SECONDS = 5
"""How long a tab may show what it has after its session has ended, should the signal of that be lost."""


class SignedOut(Exception):
    """Nobody is signed in at this tab; `address` is where they were."""

    def __init__(self, address: str) -> None:
        super().__init__("nobody is signed in at this tab")
        self.address = address


class NotHere(Exception):
    """What the tab's address names is not there, or not this person's; `sentence` says so."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass
class Choice:
    """A project, or an agent, to pick."""

    id: str
    name: str


class Session(rx.State):
    """What the frame around every page shows."""

    name: str = ""
    email: str = ""
    role: str = ""
    organization: str = ""
    projects: list[Choice] = []
    project_id: str = ""
    project_name: str = ""
    address: str = ""
    """Where this installation is reached."""
    ready: bool = False
    missing: str = ""
    """The sentence of the page that is not here."""
    last_project_id: str = rx.LocalStorage("", name="project")
    _owner: str | None = None
    """The hash of the session that filled this tab."""

    @rx.var
    def manages(self) -> bool:
        """Owners and admins: projects, keys, settings. What is shown; the verbs check by themselves."""
        return self.role in (Role.owner, Role.admin)

    @rx.var
    def builds(self) -> bool:
        """Everyone but viewers."""
        return self.role != Role.viewer

    @rx.event
    async def arrive(self):
        """Fill the frame."""
        self.missing = ""
        async with transaction(NOBODY) as session:
            teammate = await _seated(session, self)
            caller = await _caller(session, self, teammate)
            choices = await projects.of_teammate(session, teammate)
            organization = await organizations.own(session, caller)
        self.name, self.email, self.role = teammate.name, teammate.email, teammate.role.value
        self.organization, self.address = organization.name, settings().address
        self.projects = [Choice(project.id, project.name) for project in choices]
        self.project_id = caller.project_id
        self.project_name = next((choice.name for choice in self.projects if choice.id == caller.project_id), "")
        self.last_project_id = caller.project_id or self.last_project_id
        self.ready = True

    @rx.event
    async def miss(self, sentence: str):
        """Show the page that is not here. What follows the sentence's first is for programs."""
        self.missing, self.ready = sentence.partition(". ")[0].rstrip(".") + ".", True

    @rx.event(background=True)
    async def watch(self):
        """Leave as soon as the session ends, wherever it is ended."""
        async with self:
            token_hash, address = session_of(self), _address_of(self)
        with signals.listening(sessions.topic(token_hash)) as heard:
            while await _is_live(token_hash):
                with suppress(TimeoutError):
                    await asyncio.wait_for(heard.get(), _LOOK_AGAIN_SECONDS)
        yield _leave(address)


class TabOwner(rx.Middleware):
    """A tab's state is only for the session that filled it.

    The tab's token is all that Reflex asks for, and it travels in the websocket's address: without this, whoever
    reads it in a log gets what the tab had loaded, and signing out leaves it there.
    """

    async def preprocess(self, app, state, event):
        root = state._get_root_state()
        tab = await root.get_state(Session)
        session = session_of(root)
        if tab._owner == session:
            return None
        if tab._owner is not None:
            if "hydrate" not in event.name.rpartition(".")[2]:
                return StateUpdate()  # in Redis only a part of the state is loaded here: refuse
            root.reset()
        tab._owner = session
        return None


async def standing(state: rx.State) -> Caller:
    """Return who acts at this tab, in the project that its address names. Raises `SignedOut`, `NotHere`."""
    async with transaction(NOBODY) as session:
        return await _caller(session, state, await _seated(session, state))


def session_of(state: rx.State) -> str:
    """Return the hash of the session whose cookie came with this websocket, empty for none."""
    return state.router.headers.raw_headers.get("authorization", "")


def _address_of(state: rx.State) -> str:
    """Return where the tab is: path and query."""
    url = state.router.url
    return f"{url.path}?{url.query}" if url.query else url.path


def _leave(address: str = "/") -> EventSpec:
    """Send a tab to sign in and back to `address`, with a new document: nothing of this one stays."""
    target = "/sign-in" if address == "/" else f"/sign-in?next={quote(address, safe='')}"
    return rx.call_script(f"ic.leave({json.dumps(target)})")


def on_error(exception: Exception) -> EventSpec | None:
    """Say what a handler could not do: to the person what is theirs, to the log what is ours."""
    if isinstance(exception, SignedOut):
        return _leave(exception.address)
    if isinstance(exception, NotHere):
        return Session.miss(exception.sentence)
    if isinstance(exception, IngramError):
        return rx.toast.error(exception.sentence)
    log.error("a page's handler failed", exc_info=exception)
    return rx.toast.error("Something went wrong on our side. It has been logged.")


async def _seated(session: AsyncSession, state: rx.State) -> Teammate:
    token_hash = session_of(state)
    teammate = await sessions.whose(session, token_hash) if token_hash else None
    if teammate is None:
        raise SignedOut(_address_of(state))
    return teammate


async def _caller(session: AsyncSession, state: rx.State, teammate: Teammate) -> Caller:
    named = _PROJECT.match(state.router.url.path)
    try:
        caller = await projects.standing(session, teammate, named[1] if named else "")
        return replace(caller, address=state.router.session.client_ip)
    except NotFound as error:
        raise NotHere(error.sentence) from None


async def _is_live(token_hash: str) -> bool:
    async with transaction(NOBODY) as session:
        return await sessions.is_live(session, token_hash)
