"""Budgets at the desk, without a browser."""

import pytest

from ingram_app.console.budgets import Budgets
from ingram_app.core.clock import now
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound, Refused
from ingram_app.domain import agents, customers, smiths
from ingram_app.domain.access import Role
from tests.console.desk import Desk, call, sit

FORM = {"scope": "tenant", "limit": "25.5", "action": "block", "period": "daily", "thresholds": "100 %, 50"}
TODAY = f"/calls?from={now():%Y-%m-%d}&to={now():%Y-%m-%d}"


async def tab_of(desk: Desk) -> Budgets:
    tab = desk.at(Budgets, "/usage")
    await call(tab, Budgets.load)
    return tab


async def test_a_budget_is_set_changed_and_taken_off(desk: Desk) -> None:
    tab = await tab_of(desk)
    await call(tab, Budgets.create, FORM | {"agent": "agt_unasked"})
    await call(tab, Budgets.load)
    [row] = tab.rows
    assert (row.whose, row.spent, row.limit, row.state, row.made_by) == (
        "The whole project", "$0.00", "$25.50", "active", TODAY
    )  # fmt: skip
    assert row.kept == {"limit": "25.5", "action": "block", "period": "daily", "thresholds": "50, 100"}
    await call(tab, Budgets.choose, row.id, "edit")
    assert (tab.chosen, tab.kept["limit"]) == (row.id, "25.5")
    await call(tab, Budgets.change, FORM | {"limit": "$1", "thresholds": ""})
    await call(tab, Budgets.load)
    assert (tab.rows[0].limit, tab.rows[0].kept["thresholds"]) == ("$1.00", "")
    await call(tab, Budgets.choose, row.id, "remove")
    await call(tab, Budgets.remove)
    await call(tab, Budgets.load)
    assert tab.rows == []


async def test_budgets_say_whose_they_are(desk: Desk) -> None:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        clone, _ = await smiths.create(session, caller, {"external_id": "user-1"})
        agent = await agents.find(session, caller, clone.smith.agent_id)
        hotel = await customers.create(session, caller, name="Hotel Post")
    tab = await tab_of(desk)
    assert [(one.value, one.words) for one in tab.agents] == [(agent.id, agent.name)]
    for scope, named in (("agent", agent.id), ("smith", f" {clone.smith.id} "), ("customer", hotel.id)):
        await call(tab, Budgets.create, FORM | {"scope": scope, scope: named})
        assert tab.errors == {}
    await call(tab, Budgets.load)
    assert [(row.whose, row.made_by) for row in tab.rows] == [
        ("Customer Hotel Post", f"{TODAY}&customer={hotel.id}"),
        ("Smith user-1", f"{TODAY}&smith={clone.smith.id}"),
        (f"Agent {agent.name}", f"{TODAY}&agent={agent.id}"),
    ]


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"limit": ""}, "limit"), ({"limit": "0"}, "limit"), ({"limit": "nan"}, "limit"), ({"limit": "1e400"}, "limit"),
        ({"limit": "-3"}, "limit"), ({"thresholds": "80, most"}, "thresholds"), ({"thresholds": "0"}, "thresholds"),
        ({"thresholds": " ".join(map(str, range(1, 101)))}, "thresholds"), ({"action": "x"}, "action"),
        ({"scope": "smith"}, "smith"), ({"scope": "smith", "smith": "smt_nobody"}, "smith"),
        ({"scope": "all"}, "scope"),
    ],
)  # fmt: skip
async def test_what_can_not_be_is_said_at_its_field(desk: Desk, said: dict[str, str], field: str) -> None:
    tab = await tab_of(desk)
    await call(tab, Budgets.create, FORM | said)
    assert list(tab.errors) == [field]
    await call(tab, Budgets.load)
    assert tab.rows == []


async def test_a_second_one_of_the_same_is_refused_and_viewers_and_members_set_none(desk: Desk) -> None:
    tab = await tab_of(desk)
    await call(tab, Budgets.create, FORM)
    await call(tab, Budgets.create, FORM)
    assert "already a budget" in tab.errors["scope"]
    for role in (Role.member, Role.viewer):
        theirs = await tab_of(await sit(role, beside=desk))
        [row] = theirs.rows
        with pytest.raises(Refused):
            await call(theirs, Budgets.create, FORM | {"scope": "customer", "customer": "cus_1"})
        await call(theirs, Budgets.choose, row.id, "edit")
        with pytest.raises(Refused):
            await call(theirs, Budgets.change, FORM)
        with pytest.raises(Refused):
            await call(theirs, Budgets.remove)


async def test_another_project_s_budget_is_not_there(desk: Desk, stranger: Desk) -> None:
    tab = await tab_of(desk)
    await call(tab, Budgets.create, FORM)
    await call(tab, Budgets.load)
    theirs = await tab_of(stranger)
    assert theirs.rows == []
    theirs.chosen = tab.rows[0].id
    with pytest.raises(NotFound):
        await call(theirs, Budgets.remove)
