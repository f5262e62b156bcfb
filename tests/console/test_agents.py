"""Agents and one agent, without a browser."""

import pytest

from ingram_app.console.agent import AgentPage
from ingram_app.console.agents import AgentsPage
from ingram_app.console.session import NotHere, SignedOut
from ingram_app.console.versions import Versions
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound, Refused
from ingram_app.domain import agents
from ingram_app.domain.access import Role
from ingram_app.domain.agents import Agent
from tests.console.desk import Desk, call, sit

DRAFT = {"name": "Concierge", "instructions": "Be brief.", "model": "test/echo", "auto_memory": "on"}
"""A form as the browser sends it: a switch that is off is not in it."""


async def agent_of(desk: Desk, **design: object) -> Agent:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        return await agents.create(session, caller, name="Concierge", **design)


async def kept(desk: Desk, agent_id: str) -> Agent:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        return await agents.find(session, caller, agent_id)


async def test_a_new_agent_is_opened_and_listed_as_a_draft(desk: Desk) -> None:
    tab = desk.at(AgentsPage, "/agents")
    answer = await call(tab, AgentsPage.create, {"name": "  Concierge "})
    assert "/agents/agt_" in str(answer)
    await call(tab, AgentsPage.load)
    assert [(row.name, row.slug, row.live, row.smiths) for row in tab.rows] == [
        ("Concierge", "concierge", "", 0),
        ("Default", "", "version 1", 0),
    ]


async def test_an_agent_without_a_name_is_refused_at_the_field(desk: Desk) -> None:
    tab = desk.at(AgentsPage, "/agents")
    assert await call(tab, AgentsPage.create, {"name": "  "}) is None
    assert tab.error == "An agent's name has from 1 to 120 characters."


async def test_a_draft_is_saved_published_and_made_live(desk: Desk) -> None:
    agent = await agent_of(desk)
    path = f"/agents/{agent.id}"
    page, versions = desk.at(AgentPage, path), desk.at(Versions, path)
    await call(page, AgentPage.load)
    await call(versions, Versions.load)
    assert (page.chosen, versions.status) == ("", "draft only")
    await call(page, AgentPage.save, DRAFT)
    assert (page.instructions, page.chosen) == ("Be brief.", "test/echo")
    await call(versions, Versions.publish, {"note": "First"})
    assert (versions.status, versions.live, versions.rows[0].note) == ("live", "Version 1", "First")
    await call(page, AgentPage.save, DRAFT | {"instructions": "Be kind."})
    await call(versions, Versions.load)
    assert versions.status == "unpublished changes"
    await call(versions, Versions.publish, {"note": ""})
    assert (versions.status, versions.live) == ("published, not live", "Version 1")
    Versions.ask_live.fn(versions, 2)
    await call(versions, Versions.make_live)
    assert (versions.status, versions.live, [row.live for row in versions.rows]) == ("live", "Version 2", [True, False])
    assert versions.rows[0].by == desk.teammate.email


async def test_a_switch_left_alone_stays_the_platforms_own(desk: Desk) -> None:
    agent = await agent_of(desk)
    page = desk.at(AgentPage, f"/agents/{agent.id}")
    await call(page, AgentPage.save, DRAFT)
    assert (await kept(desk, agent.id)).draft["auto_memory"] is None
    await call(page, AgentPage.save, {key: value for key, value in DRAFT.items() if key != "auto_memory"})
    assert (await kept(desk, agent.id)).draft["auto_memory"] is False


async def test_a_model_of_any_id_can_be_chosen(desk: Desk) -> None:
    agent = await agent_of(desk)
    page = desk.at(AgentPage, f"/agents/{agent.id}")
    await call(page, AgentPage.save, DRAFT | {"model": "other", "other_model": "my-endpoint/llama"})
    assert (page.chosen, page.other) == ("other", "my-endpoint/llama")
    assert (await kept(desk, agent.id)).draft["model"] == "my-endpoint/llama"


async def test_what_is_wrong_stands_at_its_field(desk: Desk) -> None:
    agent = await agent_of(desk)
    page = desk.at(AgentPage, f"/agents/{agent.id}")
    assert await call(page, AgentPage.save, DRAFT | {"model": "other", "other_model": "m" * 201}) is None
    assert page.error_at == "model"
    assert page.error.startswith("The field model can not be that")


async def test_a_provider_without_a_key_says_so(desk: Desk) -> None:
    agent = await agent_of(desk)
    page = desk.at(AgentPage, f"/agents/{agent.id}")
    await call(page, AgentPage.load)
    labels = [provider.label for provider in page.providers]
    assert "OpenAI, no key yet" in labels
    assert not any("no key" in label for label in labels if label.startswith("Test"))


async def test_another_projects_agent_is_not_here(desk: Desk, stranger: Desk) -> None:
    path = f"/agents/{(await agent_of(desk)).id}"
    page, versions = stranger.at(AgentPage, path), stranger.at(Versions, path)
    with pytest.raises(NotHere, match="no such agent"):
        await call(page, AgentPage.load)
    await call(versions, Versions.load)
    assert (page.name, versions.rows) == ("", [])
    for deed in (
        call(page, AgentPage.save, DRAFT),
        call(versions, Versions.publish, {"note": ""}),
        call(versions, Versions.make_live),
    ):
        with pytest.raises(NotFound):
            await deed


async def test_a_viewer_sees_an_agent_and_changes_nothing(desk: Desk) -> None:
    agent = await agent_of(desk)
    viewer = await sit(Role.viewer, beside=desk)
    page, versions = viewer.at(AgentPage, f"/agents/{agent.id}"), viewer.at(Versions, f"/agents/{agent.id}")
    await call(page, AgentPage.load)
    assert page.name == "Concierge"
    for deed in (
        call(viewer.at(AgentsPage, "/agents"), AgentsPage.create, {"name": "Mine"}),
        call(page, AgentPage.save, DRAFT),
        call(versions, Versions.publish, {"note": ""}),
        call(versions, Versions.make_live),
    ):
        with pytest.raises(Refused):
            await deed
    assert (await kept(desk, agent.id)).draft == agent.draft


async def test_nobody_sees_nothing(desk: Desk) -> None:
    desk.cookie = "forged"
    with pytest.raises(SignedOut):
        await call(desk.at(AgentsPage, "/agents"), AgentsPage.load)
