"""The tabs of a smith's page: its story, its tokens, its revisions, and what its person may ask for."""

from typing import Any

import pytest

from ingram_app.console.person import Person
from ingram_app.console.session import NotHere
from ingram_app.console.smith import SmithPage
from ingram_app.console.smith_revisions import SmithRevisions
from ingram_app.console.smith_story import SmithStory
from ingram_app.console.smith_tokens import SmithTokens
from ingram_app.console.smiths import SmithsPage
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound, Refused
from ingram_app.domain import agents, customers, runs, smiths, tokens, versions
from ingram_app.domain.access import Role
from ingram_app.domain.turns import Turn
from tests.console.desk import Desk, call, sit
from tests.console.test_smiths import smith_of


async def agent_of(desk: Desk, name: str = "Concierge") -> str:
    """Make a published agent."""
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        agent = await agents.create(session, caller, name=name, model="test/echo")
        await session.flush()
        await versions.publish(session, caller, agent.id)
    return agent.id


async def default_of(desk: Desk) -> str:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        return (await agents.the_default(session, caller)).id


async def ask(desk: Desk, smith_id: str, said: str) -> str:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        turn = Turn([{"role": "user", "content": said}], thread_id="orders", background=True)
        run = await runs.start(session, caller, smith_id, turn)
        await runs.cancel(session, caller, smith_id, run.id)
    return run.id


async def change(desk: Desk, smith_id: str, **changes: Any) -> None:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        await smiths.change(session, caller, smith_id, changes)


async def test_a_person_s_page_begins_with_what_they_run_said_and_cost(desk: Desk) -> None:
    agent_id = await agent_of(desk)
    smith_id = await smith_of(desk, agent_id=agent_id, model=None, instructions="Be brief.")
    tab = desk.at(SmithStory, f"/smiths/{smith_id}")
    await call(tab, SmithStory.load)
    assert (tab.runs_what, tab.own, tab.run_id) == ("Concierge, version 1", "Instructions", "")
    assert (tab.took, tab.cost) == ("0 runs, 0 failures, 0 tokens", "$0.00")
    run_id = await ask(desk, smith_id, "Where is my order?")
    await call(tab, SmithStory.load)
    assert (tab.asked, tab.run_id, tab.status) == ("Where is my order?", run_id, "cancelled")
    assert tab.took.startswith("1 run, ")
    assert tab.said_in_all == "1 turn in 1 thread so far."
    await change(desk, smith_id, pin=1)
    await call(tab, SmithStory.load)
    assert tab.runs_what == "Concierge, pinned to version 1"


async def test_a_browser_s_token_is_made_shown_once_and_revoked(desk: Desk) -> None:
    smith_id = await smith_of(desk)
    tab = desk.at(SmithTokens, f"/smiths/{smith_id}", tab="tokens")
    await call(tab, SmithTokens.mint, {"lifetime": "3600"})
    assert tab.error.startswith("A smith token needs at least one permission")
    await call(tab, SmithTokens.mint, {"name": "Web", "runs:read": "on", "made:up": "on", "lifetime": "3600"})
    assert tab.secret.startswith("thp_live_")
    assert (await tokens.authenticate(tab.secret)).smith_id == smith_id
    assert [(row.name, row.state, row.may) for row in tab.rows] == [("Web", "active", "runs:read")]
    await call(tab, SmithTokens.forget)
    await call(tab, SmithTokens.choose, tab.rows[0].id, "Web")
    await call(tab, SmithTokens.revoke)
    await call(tab, SmithTokens.load)
    assert (tab.secret, [row.state for row in tab.rows]) == ("", ["revoked"])


@pytest.mark.parametrize("lifetime", ["0", "86401", "9" * 9, "²", "9" * 5000])
async def test_a_lifetime_that_is_none_is_said_in_the_dialog(desk: Desk, lifetime: str) -> None:
    tab = desk.at(SmithTokens, f"/smiths/{await smith_of(desk)}", tab="tokens")
    await call(tab, SmithTokens.mint, {"runs:read": "on", "lifetime": lifetime})
    assert tab.error.startswith("`ttl_seconds` must be from 1 to 86400")


async def test_a_tab_shows_the_tokens_of_its_smith_alone(desk: Desk) -> None:
    mine, other = await smith_of(desk), await smith_of(desk, external_id="user-2")
    for smith_id in (mine, other):
        await call(desk.at(SmithTokens, f"/smiths/{smith_id}"), SmithTokens.mint, {"name": smith_id, "runs:read": "on"})
    tab = desk.at(SmithTokens, f"/smiths/{mine}", tab="tokens")
    await call(tab, SmithTokens.load)
    assert [row.name for row in tab.rows] == [mine]


async def test_a_revision_says_what_it_changed_and_is_restored(desk: Desk) -> None:
    smith_id = await smith_of(desk)
    await change(desk, smith_id, instructions="Answer in French.", pin=1)
    await change(desk, smith_id, model=None)
    tab = desk.at(SmithRevisions, f"/smiths/{smith_id}", tab="revisions")
    await call(tab, SmithRevisions.load)
    assert [(row.version, row.changed, row.now) for row in tab.rows] == [
        (3, "Model", True), (2, "Pin, Instructions", False), (1, "as it was made", False),
    ]  # fmt: skip
    assert tab.rows[0].by == desk.teammate.email
    await call(tab, SmithRevisions.choose, 1)
    assert tab.differs == "Pin, Instructions, Model"
    await call(tab, SmithRevisions.restore)
    await call(tab, SmithRevisions.load)
    assert [row.version for row in tab.rows] == [4, 3, 2, 1]
    assert tab.rows[0].note == "Revision 1 again."


async def test_a_person_is_erased_when_the_name_is_typed_and_told_what_goes(desk: Desk) -> None:
    smith_id = await smith_of(desk)
    await ask(desk, smith_id, "Forget me")
    tab = desk.at(Person, f"/smiths/{smith_id}", tab="profile")
    await call(tab, Person.load)
    assert tab.loss.startswith("Gone for good: 1 thread, 1 run, ")
    assert "Nothing was erased" in str(await call(tab, Person.erase, {"name": "user"}))
    assert "The receipt is ers_" in str(await call(tab, Person.erase, {"name": "user-1"}))
    with pytest.raises(NotHere):
        await call(desk.at(SmithPage, f"/smiths/{smith_id}"), SmithPage.load)
    with pytest.raises(NotFound):
        await call(tab, Person.erase, {"name": "user-1"})


async def test_an_anonymous_smith_is_claimed_and_what_it_became_opens(desk: Desk) -> None:
    user, anonymous = await smith_of(desk), await smith_of(desk, external_id="anon:1")
    tab = desk.at(Person, f"/smiths/{anonymous}", tab="profile")
    await call(tab, Person.load)
    assert tab.anonymous
    assert await call(tab, Person.claim, {"external_id": "anon:2"}) is None
    assert tab.claim_error.startswith("Who has signed in has an external id")
    assert f"/smiths/{user}" in str(await call(tab, Person.claim, {"external_id": " user-1 "}))
    assert not (await opened(desk, user)).anonymous


async def opened(desk: Desk, smith_id: str) -> Person:
    tab = desk.at(Person, f"/smiths/{smith_id}", tab="profile")
    await call(tab, Person.load)
    return tab


async def test_smiths_are_found_by_customer_and_those_ticked_are_attached(desk: Desk) -> None:
    agent_id = await agent_of(desk)
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        acme = (await customers.create(session, caller, name="Acme")).id
    first, second = [await smith_of(desk, external_id=f"c-{n}", customer_id=acme) for n in range(2)]
    await smith_of(desk, external_id="c-2")
    tab = desk.at(SmithsPage, "/smiths", customer=acme)
    await call(tab, SmithsPage.load)
    assert [row.id for row in tab.rows] == [second, first]
    assert await call(tab, SmithsPage.pick, {}) is None
    await call(tab, SmithsPage.pick, {first: "on", second: "on", "agent_id": "x", "smt_": "on"})
    assert sorted(tab.picked) == sorted([first, second])
    await call(tab, SmithsPage.attach, {"agent_id": "agt_none"})
    assert tab.error.startswith("There is no agent agt_none here")
    assert "2 smiths attached" in str(await call(tab, SmithsPage.attach, {"agent_id": agent_id}))
    await call(tab, SmithsPage.load)
    assert {row.design for row in tab.rows} == {"Concierge"}


async def test_a_stranger_and_a_viewer_reach_none_of_it(desk: Desk, stranger: Desk) -> None:
    smith_id = await smith_of(desk, external_id="anon:9")
    path = f"/smiths/{smith_id}"
    viewer = await sit(Role.viewer, beside=desk)
    for who, refusal in ((stranger, NotFound), (viewer, Refused)):
        for state, handler, *given in (
            (SmithTokens, SmithTokens.mint, {"runs:read": "on"}),
            (SmithRevisions, SmithRevisions.restore),
            (Person, Person.claim, {"external_id": "mine"}),
            (Person, Person.erase, {"name": "anon:9"}),
        ):
            with pytest.raises(refusal):
                await call(who.at(state, path), handler, *given)
    tab = stranger.at(SmithsPage, "/smiths")
    tab.picked = [smith_id]
    await call(tab, SmithsPage.attach, {"agent_id": (await default_of(stranger))})
    assert tab.error.startswith(f"There is no smith {smith_id} here")
    tab = viewer.at(SmithsPage, "/smiths")
    tab.picked = [smith_id]
    with pytest.raises(Refused):
        await call(tab, SmithsPage.attach, {"agent_id": (await default_of(viewer))})
    for state in (SmithTokens, SmithRevisions, Person, SmithStory):
        for word in ("tokens", "revisions", "profile", ""):
            await call(stranger.at(state, path, **({"tab": word} if word else {})), state.load)
    member = await sit(Role.member, beside=desk)
    with pytest.raises(Refused):
        await call(member.at(SmithTokens, path), SmithTokens.mint, {"runs:read": "on"})
