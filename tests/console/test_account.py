"""Your account: where you are signed in."""

import pytest

from ingram_app.console.account import Account
from ingram_app.core.database import NOBODY, transaction
from ingram_app.core.errors import NotFound
from ingram_app.core.secrets import digest
from ingram_app.domain import sessions
from tests.console.desk import Desk, call


async def sign_in_again(desk: Desk) -> str:
    """Return the cookie of another session of the same person."""
    async with transaction(NOBODY) as session:
        return await sessions.begin(session, desk.teammate, address="10.0.0.7", agent="another browser")


async def is_in(cookie: str) -> bool:
    async with transaction(NOBODY) as session:
        return await sessions.is_live(session, digest(cookie))


async def test_a_person_sees_where_they_are_signed_in_and_ends_one(desk: Desk) -> None:
    other = await sign_in_again(desk)
    tab = desk.at(Account)
    await call(tab, Account.load)
    rows = {row.browser: row for row in tab.rows}
    assert [rows["a test"].here, rows["another browser"].here] == [True, False]
    await call(tab, Account.revoke, rows["another browser"].id)
    await call(tab, Account.load)
    assert [row.browser for row in tab.rows] == ["a test"]
    assert not await is_in(other)
    assert await is_in(desk.cookie)


async def test_nobody_sees_or_ends_the_sessions_of_another(desk: Desk, stranger: Desk) -> None:
    tab, theirs = desk.at(Account), stranger.at(Account)
    await call(theirs, Account.load)
    await call(tab, Account.load)
    assert {row.id for row in tab.rows}.isdisjoint(row.id for row in theirs.rows)
    with pytest.raises(NotFound):
        await call(tab, Account.revoke, theirs.rows[0].id)
    assert await is_in(stranger.cookie)
