"""Who sits at a tab."""

import asyncio

import pytest
import reflex as rx

from ingram_app.console import following
from ingram_app.console.session import NotHere, Session, SignedOut, TabOwner, on_error, standing
from ingram_app.core.database import NOBODY, transaction
from ingram_app.core.secrets import digest
from ingram_app.domain import sessions
from ingram_app.domain.access import Role
from ingram_app.domain.projects import ProjectNameTaken
from tests.console.desk import Desk, call, point, sit, within
from tests.console.test_runs import run_of


async def test_the_frame_shows_who_sits_there_and_where(desk: Desk) -> None:
    tab = desk.at(Session)
    await call(tab, Session.arrive)
    assert (tab.email, tab.organization, tab.project_name) == (
        desk.teammate.email,
        "Analytical Engines",
        "Support desk",
    )
    assert [choice.id for choice in tab.projects] == [desk.project_id]
    assert (tab.ready, tab.manages, tab.builds) == (True, True, True)


async def test_a_caller_stands_in_the_project_of_the_address(desk: Desk) -> None:
    caller = await standing(desk.at(Session, "/runs"))
    assert (caller.project_id, caller.actor.email) == (desk.project_id, desk.teammate.email)


async def test_another_organization_s_project_is_not_here(desk: Desk, stranger: Desk) -> None:
    tab = Desk(stranger.teammate, stranger.cookie, desk.project_id).at(Session)
    with pytest.raises(NotHere):
        await call(tab, Session.arrive)
    await call(tab, Session.miss, "There is no project here. Check the token.")
    assert (tab.missing, tab.projects) == ("There is no project here.", [])


@pytest.mark.parametrize("forged", ["", "0" * 64])
async def test_who_has_no_session_is_signed_out(desk: Desk, forged: str) -> None:
    tab = desk.at(Session)
    point(tab._get_root_state(), f"/p/{desk.project_id}/runs", forged, status="failed")
    with pytest.raises(SignedOut) as told:
        await standing(tab)
    assert told.value.address == f"/p/{desk.project_id}/runs?status=failed"


async def test_the_cookie_itself_is_no_session_in_a_handshake(desk: Desk) -> None:
    tab = desk.at(Session)
    point(tab._get_root_state(), "/", desk.cookie)
    with pytest.raises(SignedOut):
        await standing(tab)


async def test_what_a_role_may_not_use_is_not_shown(desk: Desk) -> None:
    viewer = await sit(Role.viewer, beside=desk)
    tab = viewer.at(Session)
    await call(tab, Session.arrive)
    assert (tab.manages, tab.builds) == (False, False)


async def test_an_open_tab_hears_at_once_that_its_session_has_ended(desk: Desk) -> None:
    tab = desk.at(Session)
    told: list[object] = []

    async def watch() -> None:
        async for event in Session.watch.fn(tab):
            told.append(event)

    watching = asyncio.create_task(watch())
    async with transaction(NOBODY) as session:
        await sessions.end(session, digest(desk.cookie), address="127.0.0.1")
    await asyncio.wait_for(watching, 2)
    assert "/sign-in?next=" in str(told[0])


async def test_watching_is_no_use_of_a_session(desk: Desk) -> None:
    async with transaction(NOBODY) as session:
        row = await session.get_one(sessions.Session, digest(desk.cookie))
        row.last_seen_at -= sessions.TOUCHED_EVERY * 2
        before = row.last_seen_at
    async with transaction(NOBODY) as session:
        assert await sessions.is_live(session, digest(desk.cookie))
        assert (await session.get_one(sessions.Session, digest(desk.cookie))).last_seen_at == before


class _Event:
    def __init__(self, name: str) -> None:
        self.name = name


async def test_a_tab_s_state_is_for_the_session_that_filled_it_alone(desk: Desk, stranger: Desk) -> None:
    root = desk.tab()
    tab = within(root, Session)
    assert await TabOwner().preprocess(None, root, _Event("state.hydrate")) is None
    await call(tab, Session.arrive)
    point(root, "/", digest(stranger.cookie))
    assert await TabOwner().preprocess(None, root, _Event("session.arrive")) is not None, "a foreign event is refused"
    await TabOwner().preprocess(None, root, _Event("state.hydrate"))
    assert (tab.email, tab.projects, tab.ready) == ("", [], False)


async def test_an_error_of_ours_is_told_in_its_own_sentence() -> None:
    assert "already a project named One" in str(on_error(ProjectNameTaken(name="One")))
    assert "on our side" in str(on_error(ZeroDivisionError()))
    assert isinstance(on_error(SignedOut("/")), rx.event.EventSpec)


async def test_who_follows_a_run_hears_no_more_of_it_once_signed_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOOK_AGAIN_SECONDS", 0)
    run = await run_of(desk, cancelled=True)
    tab = desk.at(Session, f"/runs/{run.id}")
    assert [gulp async for gulp in following.gulps(tab, desk.project_id, run.id)]
    async with transaction(NOBODY) as session:
        await sessions.end(session, digest(desk.cookie), address="127.0.0.1")
    with pytest.raises(SignedOut):
        await anext(following.gulps(tab, desk.project_id, run.id))
