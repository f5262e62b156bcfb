"""Agents and one agent, without a browser."""

from typing import Any

import pytest

from ingram_app.console.agent_head import AgentHead
from ingram_app.console.agents import AgentsPage
from ingram_app.console.design import Design
from ingram_app.console.playground import Playground
from ingram_app.console.publishing import Publishing
from ingram_app.console.rollout import Rollout
from ingram_app.console.roster import Roster
from ingram_app.console.session import NotHere, SignedOut
from ingram_app.console.versions import Versions
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound, Refused
from ingram_app.domain import agents, smiths, tryouts, versions
from ingram_app.domain.access import Role
from ingram_app.domain.agents import Agent
from tests.console.desk import Desk, call, sit

DRAFT = {"name": "Concierge", "instructions": "Be brief.", "model": "test/echo", "mcp": "all", "auto_memory": "on"}
"""A form as the browser sends it: a switch that is off is not in it."""
SHARE = {"version": "2", "percent": "33"}
GUARD = {"guarded": "on", "max_failure_rate": "5", "max_cost_ratio": "", "min_runs": "20", "window_minutes": "60"}


async def agent_of(desk: Desk, *published: str, **design: object) -> Agent:
    """Make an agent, with a version for each of these instructions."""
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        agent = await agents.create(session, caller, name="Concierge", **design)
        for instructions in published:
            await agents.change(session, caller, agent.id, {"instructions": instructions})
            await versions.publish(session, caller, agent.id)
    return agent


async def smith_of(desk: Desk, **given: object) -> str:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        return (await smiths.create(session, caller, dict(given)))[0].smith.id


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


async def test_a_draft_is_saved_compared_and_published(desk: Desk) -> None:
    path = f"/agents/{(await agent_of(desk)).id}"
    head, design, publishing = (desk.at(state, path) for state in (AgentHead, Design, Publishing))
    await call(head, AgentHead.load)
    await call(design, Design.load)
    assert (design.chosen, head.status, head.live) == ("", "draft only", "")
    await call(design, Design.save, DRAFT)
    assert (design.texts["instructions"], design.chosen) == ("Be brief.", "test/echo")
    await call(publishing, Publishing.ask)
    assert (publishing.live, publishing.shown) == ("", [])
    await call(publishing, Publishing.publish, {"note": "First"})
    await call(head, AgentHead.load)
    assert (head.status, head.live) == ("live", "Version 1")
    await call(design, Design.save, DRAFT | {"instructions": "Be kind."})
    await call(head, AgentHead.load)
    assert head.status == "unpublished changes"
    await call(publishing, Publishing.ask)
    (difference,) = publishing.shown
    assert (difference.field, [(line.left, line.right) for line in difference.lines]) == (
        "Instructions",
        [("Be brief.", "Be kind.")],
    )
    await call(publishing, Publishing.publish, {"note": ""})
    await call(head, AgentHead.load)
    assert (head.status, head.live) == ("published, not live", "Version 1")


WHOLE = {
    "fallback_models": "test/slow\n\n test/echo ",
    "cheaper_model": "test/echo",
    "temperature": "0.5",
    "max_tokens": "100",
    "reasoning_effort": "low",
    "variable-name-0": "city",
    "variable-default-0": "Rome",
    "variable-description-0": "where",
    "variable-required-0": "on",
    "variable-name-1": "",
    "variable-default-1": "is nobody's",
    "variable-name-7": "plan",
    "hosted:web_fetch": "on",
    "hosted:calculator": "on",
    "mcp": "these",
    "server:files": "on",
    "client_tools": '[{"name": "open_page"}]',
    "approval_policy": '[{"match": "send_*"}]',
    "skills": '[{"skill_id": "skl_1"}]',
    "vector_store_ids": "vs_1",
    "memory_consolidation": "on",
}


async def test_every_field_of_a_draft_is_kept_and_shown_as_it_was_typed(desk: Desk) -> None:
    agent = await agent_of(desk)
    design = desk.at(Design, f"/agents/{agent.id}")
    await call(design, Design.save, DRAFT | WHOLE)
    assert design.error == ""
    draft = (await kept(desk, agent.id)).draft
    assert draft["fallback_models"] == ["test/slow", "test/echo"]
    assert draft["model_settings"] == {"temperature": 0.5, "max_tokens": 100, "reasoning_effort": "low"}
    assert [(one["name"], one["default"], one["required"]) for one in draft["variables"]] == [
        ("city", "Rome", True),
        ("plan", None, False),
    ]
    assert (draft["enabled_hosted_tools"], draft["mcp_servers"]) == (["web_fetch", "calculator"], ["files"])
    assert draft["memory_consolidation"] is True
    shown = {name: design.texts[name] for name in ("temperature", "max_tokens", "mcp")}
    assert shown == {"temperature": "0.5", "max_tokens": "100", "mcp": "these"}
    assert [choice.name for choice in design.hosted if choice.on] == ["calculator", "web_fetch"]
    assert [(choice.name, choice.about) for choice in design.servers] == [("files", "It is not registered.")]
    assert [row.name for row in design.variables] == ["city", "plan", "", ""]
    form = DRAFT | WHOLE | {name: design.texts[name] for name in ("client_tools", "approval_policy", "skills")}
    before = (await kept(desk, agent.id)).updated_at
    await call(design, Design.save, form)
    assert (await kept(desk, agent.id)).updated_at == before, "what was not changed is not written"


@pytest.mark.parametrize(
    ("field", "typed", "place"),
    [
        ("client_tools", "{open", "client_tools"),
        ("client_tools", '[{"name": "a b"}]', "client_tools"),
        ("approval_policy", "[1]", "approval_policy"),
        ("temperature", "warm", "temperature"),
        ("temperature", "9", "temperature"),
        ("max_tokens", "1.5", "max_tokens"),
        ("variable-name-0", "not a name", "variables"),
        ("fallback_models", "m" * 201, "fallback_models"),
        ("name", "", "name"),
    ],
)
async def test_what_is_wrong_with_a_draft_stands_at_its_field(desk: Desk, field: str, typed: str, place: str) -> None:
    agent = await agent_of(desk)
    design = desk.at(Design, f"/agents/{agent.id}")
    assert await call(design, Design.save, DRAFT | {field: typed}) is None
    assert design.error_at == place
    assert design.error
    assert (await kept(desk, agent.id)).draft == agent.draft


async def test_a_switch_left_alone_stays_the_platforms_own(desk: Desk) -> None:
    agent = await agent_of(desk)
    design = desk.at(Design, f"/agents/{agent.id}")
    await call(design, Design.save, DRAFT)
    assert (await kept(desk, agent.id)).draft["auto_memory"] is None
    await call(design, Design.save, {key: value for key, value in DRAFT.items() if key != "auto_memory"})
    assert (await kept(desk, agent.id)).draft["auto_memory"] is False


async def test_a_model_of_any_id_can_be_chosen(desk: Desk) -> None:
    agent = await agent_of(desk)
    design = desk.at(Design, f"/agents/{agent.id}")
    await call(design, Design.save, DRAFT | {"model": "other", "other_model": "my-endpoint/llama"})
    assert (design.chosen, design.other) == ("other", "my-endpoint/llama")
    assert (await kept(desk, agent.id)).draft["model"] == "my-endpoint/llama"
    await call(design, Design.save, DRAFT | {"model": "other", "other_model": "m" * 201})
    assert design.error_at == "model"


async def test_a_provider_without_a_key_says_so(desk: Desk) -> None:
    design = desk.at(Design, f"/agents/{(await agent_of(desk)).id}")
    await call(design, Design.load)
    labels = [provider.label for provider in design.providers]
    assert "OpenAI, no key yet" in labels
    assert not any("no key" in label for label in labels if label.startswith("Test"))


async def test_versions_are_listed_compared_and_restored(desk: Desk) -> None:
    agent = await agent_of(desk, "Be kind.\nBe brief.", "Be kind.\nBe exact.")
    path = f"/agents/{agent.id}"
    tab = desk.at(Versions, path, tab="versions", a="1", b="2")
    await call(tab, Versions.load)
    assert [(row.number, row.state, row.by) for row in tab.rows] == [
        (2, "", desk.teammate.email),
        (1, "live", desk.teammate.email),
    ]
    assert [choice.name for choice in tab.choices] == ["Draft", "Version 2", "Version 1"]
    (difference,) = tab.shown
    assert [(line.kind, line.left, line.right) for line in difference.lines] == [
        ("same", "Be kind.", "Be kind."),
        ("changed", "Be brief.", "Be exact."),
    ]
    assert "a=1&b=draft" in str(await call(tab, Versions.compare, {"a": "1", "b": "draft"}))
    await call(tab, Versions.ask_restore, 1)
    await call(tab, Versions.restore)
    assert (await kept(desk, agent.id)).draft["instructions"] == "Be kind.\nBe brief."


@pytest.mark.parametrize(("a", "b"), [("1", "9"), ("x", "draft"), ("1", "²")])
async def test_versions_that_are_not_there_are_not_compared(desk: Desk, a: str, b: str) -> None:
    tab = desk.at(Versions, f"/agents/{(await agent_of(desk, 'one')).id}", tab="versions", a=a, b=b)
    await call(tab, Versions.load)
    assert (tab.missing, tab.shown, len(tab.rows)) == (True, [], 1)


async def test_a_rollout_is_planned_done_and_taken_back(desk: Desk) -> None:
    agent = await agent_of(desk, "one", "two")
    for number in range(3):
        await smith_of(desk, agent_id=agent.id, external_id=f"user-{number}")
    await smith_of(desk, agent_id=agent.id, pin=1)
    await smith_of(desk, agent_id=agent.id, instructions="mine")
    tab, head = desk.at(Rollout, f"/agents/{agent.id}", tab="rollout"), desk.at(AgentHead, f"/agents/{agent.id}")
    await call(tab, Rollout.load)
    assert (tab.version, tab.percent, tab.guard["on"]) == ("2", 10, "")
    await call(tab, Rollout.ask, SHARE | {"percent": "100"})
    assert (tab.planned.title, tab.planned.moves) == (
        "Version 2 for every smith",
        "4 smiths run another version from the next turn on.",
    )
    assert tab.planned.shields == [
        "1 smith would move too, but stay on what they are pinned to.",
        "Instructions: 1 of those that move keep its own value.",
    ]
    assert (await kept(desk, agent.id)).active_version == 1
    await call(tab, Rollout.ask, SHARE | GUARD)
    await call(tab, Rollout.apply)
    await call(tab, Rollout.load)
    await call(head, AgentHead.load)
    assert (tab.percent, tab.guard["on"], tab.guard["max_failure_rate"]) == (33, "on", "5")
    assert (head.rolling, head.share, head.status, head.back) == ("Version 2, 33 %", 33, "rolling out", "version 1")
    assert (await kept(desk, agent.id)).guard == {
        "max_failure_rate": 0.05, "max_cost_ratio": None, "min_runs": 20, "window_minutes": 60,
    }  # fmt: skip
    await call(tab, Rollout.roll_back)
    assert (await kept(desk, agent.id)).rollout_version is None
    await call(tab, Rollout.ask, SHARE | {"percent": "100"})
    await call(tab, Rollout.apply)
    await call(head, AgentHead.load)
    assert (head.live, head.back) == ("Version 2", "version 1")
    await call(tab, Rollout.roll_back)
    assert (await kept(desk, agent.id)).active_version == 1
    await call(tab, Rollout.load)
    assert [deed.what for deed in tab.history] == [
        "Made version 1 live",
        "Made version 2 live",
        "Took version 2 back",
        "Rolled version 2 out to 33 %, under guard",
        "Published version 2",
        "Published version 1",
    ]
    assert {deed.by for deed in tab.history} == {desk.teammate.email}


async def test_nothing_is_rolled_out_that_was_not_planned(desk: Desk) -> None:
    agent = await agent_of(desk, "one", "two")
    tab = desk.at(Rollout, f"/agents/{agent.id}", tab="rollout")
    assert await call(tab, Rollout.apply) is None
    assert (await kept(desk, agent.id)).active_version == 1


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"percent": "101"}, "percent"),
        ({"percent": "33.5"}, "percent"),
        ({"percent": ""}, "percent"),
        ({"version": "7"}, "version"),
        ({"version": "x"}, "version"),
        (GUARD | {"max_failure_rate": ""}, "guard"),
        (GUARD | {"max_failure_rate": "often"}, "max_failure_rate"),
        (GUARD | {"max_failure_rate": "100"}, "max_failure_rate"),
        (GUARD | {"min_runs": "0"}, "min_runs"),
        (GUARD | {"window_minutes": "1.5"}, "window_minutes"),
    ],
)
async def test_a_rollout_that_makes_no_sense_is_refused_at_its_field(
    desk: Desk, change: dict[str, str], place: str
) -> None:
    tab = desk.at(Rollout, f"/agents/{(await agent_of(desk, 'one', 'two')).id}", tab="rollout")
    assert await call(tab, Rollout.ask, SHARE | change) is None
    assert (tab.error_at, bool(tab.error)) == (place, True)


HALTED: dict[str, Any] = {
    "version": 2, "percent": 33, "halted_at": "2026-11-24T12:00:00+00:00",
    "guard": {"max_failure_rate": 0.05, "max_cost_ratio": 1.5, "min_runs": 5, "window_minutes": 60},
    "rollout": {"ended": 12, "failed": 5, "failure_rate": 5 / 12, "mean_cost": 0.02},
    "active": {"version": 1, "ended": 30, "failed": 1, "failure_rate": 1 / 30, "mean_cost": 0.01},
}  # fmt: skip


@pytest.mark.parametrize(
    ("broke", "said"),
    [
        (
            "max_failure_rate",
            "Version 2 went back from 33 % to 0: 5 of its 12 runs failed, 41.7 %, where at most 5 % may."
            " Of version 1's runs 1 of 30 failed.",
        ),
        (
            "max_cost_ratio",
            "Version 2 went back from 33 % to 0: a run of it cost $0.02, 2.0 times the $0.01 of version 1,"
            " where at most 1.5 times may be.",
        ),
    ],
)
async def test_a_halted_rollout_says_by_which_figures(desk: Desk, broke: str, said: str) -> None:
    agent = await agent_of(desk, "one", "two")
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        (await agents.find(session, caller, agent.id, to_change=True)).halted = HALTED | {"broke": broke}
    head, listed = desk.at(AgentHead, f"/agents/{agent.id}"), desk.at(AgentsPage, "/agents")
    await call(head, AgentHead.load)
    assert head.halted == said
    await call(listed, AgentsPage.load)
    assert [row.halted for row in listed.rows] == [True, False]


async def test_the_smiths_of_an_agent_are_listed_and_more_attached(desk: Desk) -> None:
    agent = await agent_of(desk, "one")
    pinned = await smith_of(desk, agent_id=agent.id, external_id="user-1", pin=1)
    elsewhere = await smith_of(desk, external_id="user-2", model="test/echo")
    tab = desk.at(Roster, f"/agents/{agent.id}", tab="smiths")
    await call(tab, Roster.load)
    assert [(row.id, row.who, row.version, row.pinned, row.own) for row in tab.rows] == [
        (pinned, "user-1", "Version 1", True, "")
    ]
    assert await call(tab, Roster.attach, {"smiths": f"{elsewhere} smt_nobody"}) is None
    assert "smt_nobody" in tab.error
    assert await call(tab, Roster.attach, {"smiths": " "}) is None
    assert "1 smith attached" in str(await call(tab, Roster.attach, {"smiths": f" {elsewhere}\n"}))
    await call(tab, Roster.load)
    assert [(row.who, row.own) for row in tab.rows] == [("user-2", "Model"), ("user-1", "")]
    assert "already" in str(await call(tab, Roster.attach, {"smiths": "", "all": "on"}))


async def test_a_draft_is_talked_to_and_all_of_it_forgotten(desk: Desk) -> None:
    agent = await agent_of(desk, model="test/echo")
    path = f"/agents/{agent.id}"
    tab = desk.at(Playground, path, tab="playground")
    await call(tab, Playground.load)
    assert (tab.turns, tab.loaded) == ([], True)
    answer = str(await call(tab, Playground.say, {"say": "hello"}))
    assert [turn.asked for turn in tab.turns] == ["hello"]
    thread = answer.partition("thread=")[2].partition('"')[0].partition("'")[0]
    again = desk.at(Playground, path, tab="playground", thread=tab.thread)
    await call(again, Playground.load)
    assert (thread[:4], [turn.asked for turn in again.turns]) == ("thr_", ["hello"])
    colleague = await sit(Role.member, beside=desk)
    theirs = colleague.at(Playground, path, tab="playground", thread=tab.thread)
    await call(theirs, Playground.load)
    assert theirs.turns == []
    await call(again, Playground.start_over)
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        assert await tryouts.mine(session, caller, agent.id) is None


async def test_another_projects_agent_is_not_here(desk: Desk, stranger: Desk) -> None:
    path = f"/agents/{(await agent_of(desk, 'one', 'two')).id}"
    with pytest.raises(NotHere, match="no such agent"):
        await call(stranger.at(AgentHead, path), AgentHead.load)
    design, listed = stranger.at(Design, path), stranger.at(Versions, path, tab="versions")
    rollout, roster = stranger.at(Rollout, path, tab="rollout"), stranger.at(Roster, path, tab="smiths")
    playground = stranger.at(Playground, path, tab="playground")
    for state in (design, listed, rollout, roster, playground):
        await call(state, type(state).load)
    assert (design.name, listed.rows, rollout.history, roster.rows, playground.turns) == ("", [], [], [], [])
    for deed in (
        call(design, Design.save, DRAFT),
        call(stranger.at(Publishing, path), Publishing.ask),
        call(stranger.at(Publishing, path), Publishing.publish, {"note": ""}),
        call(listed, Versions.restore),
        call(rollout, Rollout.ask, SHARE),
        call(rollout, Rollout.roll_back),
    ):
        with pytest.raises(NotFound):
            await deed
    await call(roster, Roster.attach, {"all": "on"})
    assert roster.error.startswith("There is no agent")
    assert await call(playground, Playground.say, {"say": "hello"}) is None
    assert playground.refusal.startswith("There is no agent")


async def test_a_viewer_sees_an_agent_and_changes_nothing(desk: Desk) -> None:
    agent = await agent_of(desk, "one", "two")
    path = f"/agents/{agent.id}"
    viewer = await sit(Role.viewer, beside=desk)
    head, listed = viewer.at(AgentHead, path), viewer.at(Versions, path, tab="versions")
    rollout, playground = viewer.at(Rollout, path, tab="rollout"), viewer.at(Playground, path, tab="playground")
    for state in (head, listed, rollout, playground):
        await call(state, type(state).load)
    assert (head.name, len(listed.rows), len(rollout.history)) == ("Concierge", 2, 2)
    await call(rollout, Rollout.ask, SHARE)
    before = await kept(desk, agent.id)
    for deed in (
        call(viewer.at(AgentsPage, "/agents"), AgentsPage.create, {"name": "Mine"}),
        call(viewer.at(Design, path), Design.save, DRAFT),
        call(viewer.at(Publishing, path), Publishing.publish, {"note": ""}),
        call(listed, Versions.restore),
        call(rollout, Rollout.apply),
        call(rollout, Rollout.roll_back),
        call(viewer.at(Roster, path), Roster.attach, {"all": "on"}),
        call(playground, Playground.start_over),
    ):
        with pytest.raises(Refused):
            await deed
    await call(playground, Playground.say, {"say": "hello"})
    assert playground.refusal
    assert await kept(desk, agent.id) == before


async def test_nobody_sees_nothing(desk: Desk) -> None:
    path = f"/agents/{(await agent_of(desk)).id}"
    desk.cookie = "forged"
    for state in (AgentsPage, AgentHead, Design, Versions, Rollout, Roster, Playground):
        with pytest.raises(SignedOut):
            await call(desk.at(state, path), state.load)
