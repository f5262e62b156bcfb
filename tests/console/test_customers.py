"""Customers, rates and the Stripe account, without a browser."""

import pytest

from ingram_app.console.customer import CustomerPage
from ingram_app.console.customer_pushes import CustomerPushes
from ingram_app.console.customer_smiths import CustomerSmiths
from ingram_app.console.customers import Customers, signed
from ingram_app.console.profile import Profile
from ingram_app.console.rates import Rates
from ingram_app.console.session import NotHere
from ingram_app.console.stripe_account import StripePage
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound, Refused
from ingram_app.domain import customers, smiths
from ingram_app.domain.access import Role
from tests.console.desk import Desk, call, sit
from tests.console.test_smiths import smith_of


async def customer_of(desk: Desk, name: str = "Hotel") -> str:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        return (await customers.create(session, caller, name=name)).id


async def assigned(desk: Desk, smith_id: str) -> str | None:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        return (await smiths.find(session, caller, smith_id)).smith.customer_id


async def test_a_customer_is_made_edited_and_archived(desk: Desk) -> None:
    tab = desk.at(Customers, "/customers")
    await call(tab, Customers.create, {"name": "", "others": ""})
    assert tab.errors["name"].startswith("A customer's name")
    await call(tab, Customers.create, {"name": "Post", "others": "[1]"})
    assert "no object of texts" in tab.errors["external_ids"]
    told = await call(tab, Customers.create, {"name": "Post", "at_stripe": " cus_7 ", "others": '{"crm": "1"}'})
    assert "/customers/cus_" in str(told)
    await call(tab, Customers.load)
    [row] = [row for row in tab.rows if row.name == "Post"]
    assert (row.smiths, row.cost, row.price, row.margin) == ("0", "$0.00", "$0.00", "$0.00")
    one = desk.at(CustomerPage, f"/customers/{row.id}")
    await call(one, CustomerPage.load)
    assert (one.name, one.at_stripe, one.others) == ("Post", "cus_7", '{\n  "crm": "1"\n}')
    await call(one, CustomerPage.change, {"name": "Post AG", "at_stripe": "", "others": one.others})
    assert (one.name, one.at_stripe) == ("Post AG", "")
    assert "Nothing was archived" in str(await call(one, CustomerPage.archive, {"name": "Post"}))
    assert "0 smiths left unassigned" in str(await call(one, CustomerPage.archive, {"name": "Post AG"}))
    await call(one, CustomerPage.load)
    assert one.archived != ""


async def test_smiths_are_assigned_from_both_sides(desk: Desk) -> None:
    hotel = await customer_of(desk)
    first, second = [await smith_of(desk, external_id=f"guest-{n}") for n in range(2)]
    tab = desk.at(CustomerSmiths, f"/customers/{hotel}", tab="smiths")
    await call(tab, CustomerSmiths.assign, {"smith": "nobody"})
    assert tab.error == "There is no smith of the external id nobody."
    await call(tab, CustomerSmiths.assign, {"smith": "guest-0"})
    await call(tab, CustomerSmiths.assign, {"smith": second})
    await call(tab, CustomerSmiths.load)
    assert {row.id for row in tab.rows} == {first, second}
    await call(tab, CustomerSmiths.release, first)
    assert [await assigned(desk, one) for one in (first, second)] == [None, hotel]
    profile = desk.at(Profile, f"/smiths/{first}")
    await call(profile, Profile.save, {"customer_id": "hotel"})
    assert (profile.error_at, profile.error.startswith("There is no customer hotel")) == ("customer_id", True)
    await call(profile, Profile.save, {"customer_id": hotel})
    assert await assigned(desk, first) == hotel


async def test_rates_are_read_as_people_write_them(desk: Desk) -> None:
    tab = desk.at(Rates, "/rates")
    await call(tab, Rates.load)
    assert (tab.percent, tab.run_price, tab.meters, tab.since) == ("100", "0", "", "")
    for wrong in (
        {"percent": "a lot"},
        {"percent": "100", "run_price": "0.0000001"},
        {"percent": "100", "run_price": "NaN"},
        {"percent": "100", "run_price": "1e400"},
        {"percent": "100", "run_price": "-1"},
        {"percent": "100", "meters": "pages 1\npages 2"},
        {"percent": "100", "meters": "päges 1"},
        {"percent": "999999999"},
    ):
        assert await call(tab, Rates.keep, wrong) is None
        assert tab.error != ""
    await call(tab, Rates.keep, {"percent": "130", "run_price": "$0.01", "meters": "pages 0.02\n\nminutes 1.5"})
    assert (tab.error, tab.percent, tab.run_price) == ("", "130", "0.01")
    assert tab.meters == "minutes 1.5\npages 0.02"
    since = tab.since
    await call(tab, Rates.load)
    assert tab.since == since != ""


async def test_a_stripe_account_is_connected_and_forgotten(desk: Desk) -> None:
    tab = desk.at(StripePage, "/settings/stripe")
    await call(tab, StripePage.load)
    assert (tab.loaded, tab.connected) == (True, False)
    await call(tab, StripePage.connect, {"api_key": "pk_live_123456789"})
    assert "no secret key" in tab.error
    await call(tab, StripePage.connect, {"api_key": "rk_live_123456789", "push_tokens": "on"})
    await call(tab, StripePage.load)
    assert (tab.connected, tab.ending, tab.live, tab.push_tokens, tab.error) == (True, "6789", True, True, "")
    assert "rk_live" not in str(tab.dict())
    await call(tab, StripePage.disconnect)
    await call(tab, StripePage.load)
    assert tab.connected is False


async def test_a_stranger_and_a_viewer_change_none_of_it(desk: Desk, stranger: Desk) -> None:
    hotel, smith_id = await customer_of(desk), await smith_of(desk, external_id="guest-9")
    path = f"/customers/{hotel}"
    viewer = await sit(Role.viewer, beside=desk)
    for who, refusal in ((stranger, NotFound), (viewer, Refused)):
        for state, handler, *given in (
            (CustomerPage, CustomerPage.change, {"name": "Mine"}),
            (CustomerPage, CustomerPage.archive, {"name": "Hotel"}),
            (CustomerSmiths, CustomerSmiths.release, smith_id),
            (CustomerPushes, CustomerPushes.retry),
        ):
            with pytest.raises(refusal):
                await call(who.at(state, path), handler, *given)
    for state, handler, given in (
        (Customers, Customers.create, {"name": "Mine"}),
        (Rates, Rates.keep, {"percent": "0"}),
        (StripePage, StripePage.connect, {"api_key": "sk_live_12345678"}),
    ):
        with pytest.raises(Refused):
            await call(viewer.at(state), handler, given)
    member = await sit(Role.member, beside=desk)
    with pytest.raises(Refused):
        await call(member.at(StripePage), StripePage.connect, {"api_key": "sk_live_12345678"})
    with pytest.raises(NotHere):
        await call(stranger.at(CustomerPage, path), CustomerPage.load)


def test_a_loss_is_written_as_one() -> None:
    assert [signed(micros) for micros in (-1_500_000, 0, 20_000)] == ["−$1.50", "$0.00", "$0.02"]
