"""The page of model calls, as its handler answers."""

import pytest

from ingram_app.console.calls import Calls
from ingram_app.core.errors import BadRequest
from ingram_app.domain.access import Role
from tests.console.desk import Desk, sit


@pytest.mark.parametrize(
    "query",
    [
        {"from": "never"},
        {"from": "2026-02-01", "to": "2026-01-01"},
        {"from": "0001-01-01", "to": "9999-12-31"},
        {"model": "' or true --", "smith": "!", "agent": "!!a!", "customer": "none", "app": "%"},
        {"model": "a\x00b", "app": "!a\x00b"},
        {"count": "runs", "model": "!none!x"},
    ],
)
async def test_any_address_is_answered(desk: Desk, query: dict[str, str]) -> None:
    page = desk.at(Calls, "/calls", **query)
    await Calls.load.fn(page)
    assert (page.rows, page.loaded) == ([], True)
    assert page.sums[-1].figure == "0"


async def test_a_cursor_that_is_none_is_refused(desk: Desk) -> None:
    with pytest.raises(BadRequest):
        await Calls.load.fn(desk.at(Calls, "/calls", cursor="x"))


async def test_a_viewer_sees_what_was_spent(desk: Desk) -> None:
    page = (await sit(Role.viewer, beside=desk)).at(Calls, "/calls")
    await Calls.load.fn(page)
    assert page.loaded
