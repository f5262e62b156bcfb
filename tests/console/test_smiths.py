"""Smiths, one smith and the playground, without a browser."""

import pytest

from ingram_app.console.overrides import Overrides
from ingram_app.console.playground import Playground
from ingram_app.console.profile import Profile
from ingram_app.console.session import NotHere
from ingram_app.console.smith import SmithPage
from ingram_app.console.smiths import SmithsPage
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound, Refused
from ingram_app.domain import agents, runs, smiths
from ingram_app.domain.access import Role
from ingram_app.domain.runs import RunStatus
from ingram_app.domain.turns import Turn
from tests.console.desk import Desk, call, sit


async def smith_of(desk: Desk, **given: object) -> str:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        clone, _ = await smiths.create(session, caller, {"external_id": "user-1", "model": "test/echo", **given})
    return clone.smith.id


async def test_smiths_are_found_by_how_their_external_id_begins(desk: Desk) -> None:
    for external_id in ("user-1", "user-2", "anon:7", None):
        await smith_of(desk, external_id=external_id, display_name=None if external_id else "Nameless")
    for query, found in (
        ({}, ["Nameless", "anon:7", "user-2", "user-1"]),
        ({"external_id": "user"}, ["user-2", "user-1"]),
        ({"anonymous": "1"}, ["anon:7"]),
        ({"agent": "agt_none"}, []),
    ):
        tab = desk.at(SmithsPage, "/smiths", **query)
        await call(tab, SmithsPage.load)
        assert [row.who for row in tab.rows] == found


async def test_the_default_agent_stands_first_in_the_choice(desk: Desk) -> None:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        await agents.create(session, caller, name="Concierge")
    tab = desk.at(SmithsPage, "/smiths")
    await call(tab, SmithsPage.load)
    assert [choice.name for choice in tab.choices] == ["Default", "Concierge"]


async def test_making_a_smith_twice_opens_the_same_one(desk: Desk) -> None:
    tab = desk.at(SmithsPage, "/smiths")
    first = str(await call(tab, SmithsPage.create, {"external_id": "user-9", "display_name": "", "agent_id": ""}))
    second = str(await call(tab, SmithsPage.create, {"external_id": "user-9"}))
    assert "There is already a smith" in second
    assert first.partition("smt_")[2][:21] == second.partition("smt_")[2][:21]


async def test_a_field_is_overridden_and_reset(desk: Desk) -> None:
    tab = desk.at(Overrides, f"/smiths/{await smith_of(desk)}")
    await call(tab, Overrides.load)
    rows = {row.name: row for row in tab.rows}
    assert (rows["model"].value, rows["model"].own, rows["instructions"].own) == ("test/echo", True, False)
    await call(tab, Overrides.edit, "instructions")
    assert (tab.label, tab.text) == ("Instructions", "")
    await call(tab, Overrides.save, {"value": "Answer in French."})
    row = next(row for row in tab.rows if row.name == "instructions")
    assert (row.value, row.own) == ("Answer in French.", True)
    await call(tab, Overrides.take_back, "instructions")
    row = next(row for row in tab.rows if row.name == "instructions")
    assert (row.value, row.own) == ("", False)


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("model_settings", "{hot", "it is no JSON"),
        ("model_settings", '{"temperature": 9}', "less than or equal to 2"),
        ("fallback_models", '"test/echo"', "valid list"),
        ("instructions", " ", "take the override back"),
    ],
)
async def test_a_value_that_can_not_be_is_said_in_the_dialog(desk: Desk, field: str, typed: str, said: str) -> None:
    tab = desk.at(Overrides, f"/smiths/{await smith_of(desk)}")
    await call(tab, Overrides.edit, field)
    assert await call(tab, Overrides.save, {"value": typed}) is None
    assert said in tab.error


async def test_what_is_no_field_is_not_asked_for(desk: Desk) -> None:
    tab = desk.at(Overrides, f"/smiths/{await smith_of(desk)}")
    await call(tab, Overrides.edit, "pin")
    assert tab.editing == ""


async def test_a_profile_is_kept_and_metadata_must_be_an_object(desk: Desk) -> None:
    tab = desk.at(Profile, f"/smiths/{await smith_of(desk)}")
    await call(tab, Profile.save, {"display_name": "Ada", "locale": "de-AT", "metadata": '{"plan": "pro"}'})
    await call(tab, Profile.load)
    assert (tab.display_name, tab.locale, tab.metadata) == ("Ada", "de-AT", '{\n  "plan": "pro"\n}')
    for wrong in ("[1]", "{plan"):
        assert await call(tab, Profile.save, {"metadata": wrong}) is None
        assert tab.error_at == "metadata"
    await call(tab, Profile.load)
    assert (tab.display_name, tab.error) == ("Ada", "")


async def test_a_smith_is_archived_when_its_name_is_typed(desk: Desk) -> None:
    smith_id = await smith_of(desk)
    tab = desk.at(Profile, f"/smiths/{smith_id}")
    await call(tab, Profile.load)
    assert "0 threads with 0 turns" in tab.loss
    assert "Nothing was archived" in str(await call(tab, Profile.archive, {"name": "user"}))
    assert "/smiths" in str(await call(tab, Profile.archive, {"name": "user-1"}))
    with pytest.raises(NotHere):
        await call(desk.at(SmithPage, f"/smiths/{smith_id}"), SmithPage.load)


async def test_a_message_in_the_playground_is_a_run_on_a_thread_of_the_console(desk: Desk) -> None:
    smith_id = await smith_of(desk)
    tab = desk.at(Playground, f"/smiths/{smith_id}", tab="playground")
    await call(tab, Playground.load)
    answer = str(await call(tab, Playground.say, {"say": "Hello"}))
    assert f"thread={tab.thread}" in answer
    assert [(turn.asked, turn.over) for turn in tab.turns] == [("Hello", False)]
    assert await call(tab, Playground.say, {"say": "Again"}) is None, "one at a time"
    again = desk.at(Playground, f"/smiths/{smith_id}", tab="playground", thread=tab.thread)
    await call(again, Playground.load)
    assert (again.turns, again.live_run) == (tab.turns, tab.live_run)
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        run = await runs.look_up(session, caller, tab.live_run)
    assert (run.channel, run.input[0]["content"]) == ("console", "Hello")


async def test_what_can_not_be_run_is_said_in_the_errors_own_words(desk: Desk) -> None:
    tab = desk.at(Playground, f"/smiths/{await smith_of(desk, model='gpt-5.4-mini')}", tab="playground")
    await call(tab, Playground.say, {"say": "Hello"})
    assert tab.refusal.startswith("There is no key for openai")
    await call(tab, Playground.say, {"say": "  "})
    assert tab.refusal.startswith("There is nothing to answer")


async def test_the_tabs_show_threads_and_runs(desk: Desk) -> None:
    smith_id = await smith_of(desk)
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        said = [{"role": "user", "content": "Where is my order?"}]
        run = await runs.start(session, caller, smith_id, Turn(said, thread_id="orders", background=True))
        await runs.cancel(session, caller, smith_id, run.id)
    tab = desk.at(SmithPage, f"/smiths/{smith_id}", tab="threads")
    await call(tab, SmithPage.load)
    assert [(row.id, row.title, row.turns) for row in tab.threads] == [("orders", "Where is my order?", 1)]
    tab = desk.at(SmithPage, f"/smiths/{smith_id}", tab="runs")
    await call(tab, SmithPage.load)
    assert [(row.id, row.status) for row in tab.runs] == [(run.id, RunStatus.cancelled)]


async def test_another_projects_smith_is_not_here(desk: Desk, stranger: Desk) -> None:
    path = f"/smiths/{await smith_of(desk)}"
    with pytest.raises(NotHere, match="no such smith"):
        await call(stranger.at(SmithPage, path), SmithPage.load)
    overrides, profile = stranger.at(Overrides, path), stranger.at(Profile, path)
    await call(overrides, Overrides.load)
    await call(profile, Profile.load)
    assert (overrides.rows, profile.who) == ([], "")
    for deed in (
        call(overrides, Overrides.edit, "model"),
        call(overrides, Overrides.take_back, "model"),
        call(profile, Profile.save, {"display_name": "Eve"}),
        call(profile, Profile.archive, {"name": "user-1"}),
    ):
        with pytest.raises(NotFound):
            await deed
    playground = stranger.at(Playground, path, tab="playground", thread="orders")
    await call(playground, Playground.load)
    await call(playground, Playground.say, {"say": "Hello"})
    assert playground.refusal.startswith("There is no smith")
    assert playground.turns == []


async def test_a_viewer_sees_a_smith_and_changes_nothing(desk: Desk) -> None:
    path = f"/smiths/{await smith_of(desk)}"
    viewer = await sit(Role.viewer, beside=desk)
    tab = viewer.at(SmithPage, path)
    await call(tab, SmithPage.load)
    assert tab.who == "user-1"
    overrides, profile = viewer.at(Overrides, path), viewer.at(Profile, path)
    for deed in (
        call(viewer.at(SmithsPage, "/smiths"), SmithsPage.create, {"external_id": "mine"}),
        call(overrides, Overrides.take_back, "model"),
        call(profile, Profile.save, {"display_name": "Eve"}),
        call(profile, Profile.archive, {"name": "user-1"}),
    ):
        with pytest.raises(Refused):
            await deed
    playground = viewer.at(Playground, path, tab="playground")
    await call(playground, Playground.say, {"say": "Hello"})
    assert "runs:write" in playground.refusal
