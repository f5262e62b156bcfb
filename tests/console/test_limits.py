"""The limits on the project's page, without a browser."""

import pytest

from ingram_app.console.limits import LimitsPart
from ingram_app.core.database import transaction
from ingram_app.core.errors import Refused
from ingram_app.domain import projects
from ingram_app.domain.access import Role
from ingram_app.domain.projects import Limits
from tests.console.desk import Desk, call, sit


async def own(desk: Desk) -> Limits:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        return (await projects.own(session, caller)).limits


async def test_limits_are_kept_and_put_back(desk: Desk) -> None:
    tab = desk.at(LimitsPart)
    await call(tab, LimitsPart.load)
    assert set(tab.values.values()) == {""}
    await call(tab, LimitsPart.keep, {"max_steps": " 7 ", "max_concurrent_runs": "3", "max_seconds": ""})
    assert (tab.values["max_steps"], tab.values["max_concurrent_runs"], tab.values["max_seconds"]) == ("7", "3", "")
    assert ((await own(desk)).max_steps, (await own(desk)).max_seconds) == (7, 600)
    await call(tab, LimitsPart.keep, {"max_steps": ""})
    assert ((await own(desk)).max_steps, (await own(desk)).max_concurrent_runs) == (25, None)


async def test_what_a_run_may_cost_is_asked_for_in_dollars_and_kept_in_millionths(desk: Desk) -> None:
    tab = desk.at(LimitsPart)
    await call(tab, LimitsPart.keep, {"max_cost_micros": " $2.50 "})
    assert (tab.values["max_cost_micros"], (await own(desk)).max_cost_micros) == ("2.5", 2_500_000)
    for wrong in ("0", "-1", ".", "1e3", "1_000", "0.0000001", "much", "nan"):
        await call(tab, LimitsPart.keep, {"max_cost_micros": wrong})
        assert "US dollars" in tab.errors["max_cost_micros"]
    assert (await own(desk)).max_cost_micros == 2_500_000


async def test_limits_that_the_page_does_not_show_stay_as_they_are(desk: Desk) -> None:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        await projects.prefer(session, caller, {"limits": {"max_history_tokens": 500}})
    await call(desk.at(LimitsPart), LimitsPart.keep, {"max_steps": "7"})
    assert ((await own(desk)).max_steps, (await own(desk)).max_history_tokens) == (7, 500)


@pytest.mark.parametrize("wrong", ["0", "-3", "many", "1.5", "9999999"])
async def test_what_is_no_limit_is_said_at_its_field_and_nothing_is_kept(desk: Desk, wrong: str) -> None:
    tab = desk.at(LimitsPart)
    await call(tab, LimitsPart.load)
    await call(tab, LimitsPart.keep, {"max_steps": wrong, "max_seconds": "9"})
    assert [name for name, said in tab.errors.items() if said] == ["max_steps"]
    assert (await own(desk)).max_seconds == 600
    await call(tab, LimitsPart.keep, {"max_seconds": "9"})
    assert ("".join(tab.errors.values()), (await own(desk)).max_seconds) == ("", 9)


async def test_a_viewer_looks_and_changes_nothing(desk: Desk) -> None:
    tab = (await sit(Role.viewer, beside=desk)).at(LimitsPart)
    await call(tab, LimitsPart.load)
    with pytest.raises(Refused):
        await call(tab, LimitsPart.keep, {"max_steps": "1"})
