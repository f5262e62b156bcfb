"""The page of usage and cost, and the prices on that of models, as their handlers answer."""

import pytest

from ingram_app.console.prices import Prices
from ingram_app.console.usage import UsagePage
from ingram_app.core.database import transaction
from ingram_app.core.errors import IngramError
from ingram_app.domain import own_prices
from ingram_app.domain.access import Role
from tests.console.desk import Desk, sit


async def test_a_project_without_usage_has_a_page_of_noughts(desk: Desk) -> None:
    page = desk.at(UsagePage, "/usage")
    await UsagePage.load.fn(page)
    assert [card.figure for card in page.cards] == ["$0.00", "0", "0", "0"]
    assert (len(page.columns) >= 28, page.series, page.smiths) == (True, [], [])


@pytest.mark.parametrize("period", ["7d", "2025-02", "nonsense", "2025-13"])
async def test_a_period_is_what_the_address_says_or_this_month(desk: Desk, period: str) -> None:
    page = desk.at(UsagePage, "/usage", period=period)
    await UsagePage.load.fn(page)
    assert len(page.columns) == {"7d": 7, "2025-02": 28}.get(period, len(page.columns))
    assert page.period == (period if period in ("7d", "2025-02") else "")


async def test_a_price_is_read_in_dollars(desk: Desk) -> None:
    page = desk.at(Prices, "/settings/models")
    await Prices.put.fn(
        page, {"model": "test/echo", "input": "2.5", "output": "$10", "cache_read": "", "cache_write": "0"}
    )
    async with transaction((await desk.caller()).tenancy) as session:
        [price] = (await own_prices.browse(session, await desk.caller())).values()
    assert (price.input, price.output, price.cache_read, price.cache_write) == (2_500_000, 10_000_000, None, 0)
    await Prices.load.fn(page)
    assert [row.input for row in page.rows] == ["$2.50"]


@pytest.mark.parametrize("words", ["", "much", "-1", "NaN", "Infinity", "1e99"])
async def test_what_is_no_price_is_said_at_its_field(desk: Desk, words: str) -> None:
    page = desk.at(Prices, "/settings/models")
    await Prices.put.fn(page, {"model": "test/echo", "input": words, "output": "1"})
    assert list(page.errors) == ["input"]


async def test_a_viewer_sets_no_price(desk: Desk) -> None:
    page = (await sit(Role.viewer, beside=desk)).at(Prices, "/settings/models")
    with pytest.raises(IngramError):
        await Prices.put.fn(page, {"model": "test/echo", "input": "1", "output": "1"})
