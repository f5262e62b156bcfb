"""A desk: a person at a tab of the console, without a browser. Handlers are called as Reflex calls them."""

from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

import reflex as rx
from reflex.istate.data import RouterData

from ingram_app.console.session import Session
from ingram_app.core.database import NOBODY, transaction
from ingram_app.core.ids import new_id
from ingram_app.core.secrets import digest
from ingram_app.domain import organizations, projects, sessions
from ingram_app.domain.access import Caller, Role
from ingram_app.domain.teammates import Teammate

State = TypeVar("State", bound=rx.State)


@dataclass
class Desk:
    """A teammate, signed in, in one project."""

    teammate: Teammate
    cookie: str
    project_id: str

    def tab(self, path: str = "", **query: str) -> rx.State:
        """Return the root state of a new tab at `path` of the project."""
        root = rx.State(_reflex_internal_init=True)  # type: ignore[call-arg]
        point(root, f"/p/{self.project_id}{path}", digest(self.cookie), **query)
        return root

    def at(self, page: type[State], path: str = "", **query: str) -> State:
        """Return a page's state in a new tab."""
        return within(self.tab(path, **query), page)

    async def caller(self) -> Caller:
        async with transaction(NOBODY) as session:
            return await projects.standing(session, self.teammate, self.project_id)


async def sit(role: Role = Role.owner, *, beside: Desk | None = None) -> Desk:
    """Sign somebody in: in an organization and a project of their own, or beside a colleague."""
    async with transaction(NOBODY) as session:
        if beside is None:
            organization_id = (await organizations.create(session, "Analytical Engines")).id
        else:
            organization_id = beside.teammate.organization_id
        email = f"{new_id('ada')}@example.com".lower()
        teammate = Teammate(organization_id=organization_id, email=email, name="Ada", role=role)
        session.add(teammate)
        await session.flush()
        cookie = await sessions.begin(session, teammate, address="127.0.0.1", agent="a test")
        if beside is not None:
            return Desk(teammate, cookie, beside.project_id)
        project = await projects.create(session, await projects.standing(session, teammate), "Support desk")
    return Desk(teammate, cookie, project.id)


def point(root: rx.State, path: str, session_hash: str, **query: str) -> None:
    """Put a tab at an address, with the hash of a session in its handshake."""
    address = path + (f"?{urlencode(query)}" if query else "")
    data = {
        "pathname": path,
        "asPath": address,
        "query": query,
        "headers": {"authorization": session_hash, "origin": "http://localhost:8000"},
    }
    root.router = RouterData.from_router_data(data)  # type: ignore[assignment]


def within(root: rx.State, page: type[State]) -> State:
    """Return the state of a page in a tab."""
    found = root.get_substate(page.get_full_name().split("."))
    assert isinstance(found, page)
    return found


async def call(state: rx.State, handler: Any, *given: Any) -> Any:
    """Call a page's handler."""
    return await handler.fn(state, *given)


def frame(state: rx.State) -> Session:
    """Return what the frame around a page shows."""
    return within(state._get_root_state(), Session)
