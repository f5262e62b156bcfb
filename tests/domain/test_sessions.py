"""Sessions: who is signed in, for how long, and how often one may guess."""

import asyncio

import pytest

from ingram_app.core.database import NOBODY, transaction
from ingram_app.core.secrets import digest
from ingram_app.domain import sessions, teammates
from ingram_app.domain.sessions import SignInLimited
from ingram_app.domain.teammates import Teammate
from tests.world import World

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
async def ann(world: World) -> Teammate:
    async with transaction(NOBODY) as session:
        made = await teammates.adopt(session, world.organization_id, "Ann@Example.com")
        made.password_hash = await teammates.hash_password(PASSWORD)
        return made


async def begin(teammate: Teammate) -> str:
    async with transaction(NOBODY) as session:
        return await sessions.begin(session, teammate, address="::1", agent="x" * 5000)


async def whose(cookie: str) -> str | None:
    async with transaction(NOBODY) as session:
        found = await sessions.whose(session, digest(cookie))
        return found.id if found else None


async def try_in(email: str, password: str, address: str) -> bool:
    async with transaction(NOBODY) as session:
        counted = await sessions.attempt(session, email=email, address=address)
        teammate = await teammates.by_email(session, email)
    if not await teammates.check_password(teammate, password):
        return False
    async with transaction(NOBODY) as session:
        await sessions.forgive(session, counted)
    return True


async def test_a_cookie_says_who_it_is_until_it_is_ended(world: World, ann: Teammate) -> None:
    cookie = await begin(ann)
    assert await whose(cookie) == ann.id
    assert await whose(cookie + "x") is None
    assert world.ask("select count(*) from sessions where token_hash = %s", cookie) == [(0,)]
    async with transaction(NOBODY) as session:
        await sessions.end(session, digest(cookie), address="10.0.0.9")
    assert await whose(cookie) is None
    noted = "select action, actor ->> 'email', address from audit where action like 'session.%%' order by id"
    assert world.ask(noted) == [("session.begun", ann.email, "::1"), ("session.ended", ann.email, "10.0.0.9")]


@pytest.mark.parametrize(
    ("column", "long", "longer"),
    [
        ("last_seen_at", "11 hours 59 minutes", "12 hours 1 minute"),
        ("created_at", "29 days 23 hours", "30 days 1 hour"),
    ],
)
async def test_it_ends_by_itself(world: World, ann: Teammate, column: str, long: str, longer: str) -> None:
    cookie = await begin(ann)
    for passed, owner in ((long, ann.id), (longer, None)):
        statement = f"update sessions set {column} = now() - interval '{passed}' where token_hash = %s"
        world.do(statement, digest(cookie))
        assert await whose(cookie) == owner


async def test_the_right_password_signs_in_whatever_the_case_of_the_address(ann: Teammate) -> None:
    assert await try_in(" ANN@example.COM ", PASSWORD, "10.0.0.1")
    assert not await try_in("ann@example.com", PASSWORD + "x", "10.0.0.1")
    assert not await try_in("nobody@example.com", PASSWORD, "10.0.0.1")


async def test_guessing_is_limited_per_account(world: World, ann: Teammate) -> None:
    world.do("delete from sign_in_failures")
    for number in range(10):
        assert not await try_in("ann@example.com", "wrong", f"10.0.1.{number}")
    with pytest.raises(SignInLimited) as limited:
        await try_in("ann@example.com", PASSWORD, "10.0.2.1")
    assert limited.value.retry_after_seconds == 15 * 60
    world.do("update sign_in_failures set created_at = now() - interval '16 minutes'")
    assert await try_in("ann@example.com", PASSWORD, "10.0.2.1")


async def test_guessing_at_once_is_no_way_around_the_limit(world: World, ann: Teammate) -> None:
    world.do("delete from sign_in_failures")
    guesses = (try_in("ann@example.com", "wrong", f"10.0.3.{number}") for number in range(24))
    told = await asyncio.gather(*guesses, return_exceptions=True)
    assert (told.count(False), sum(isinstance(one, SignInLimited) for one in told)) == (10, 14)


async def test_what_succeeds_is_not_counted_and_what_is_old_is_forgotten(world: World, ann: Teammate) -> None:
    world.do("delete from sign_in_failures")
    assert not await try_in("ann@example.com", "wrong", "10.0.4.1")
    world.do("update sign_in_failures set created_at = now() - interval '16 minutes'")
    assert await try_in("ann@example.com", PASSWORD, "10.0.4.1")
    assert world.ask("select count(*) from sign_in_failures") == [(0,)]


async def test_guessing_is_limited_per_address(world: World, ann: Teammate) -> None:
    world.do("delete from sign_in_failures")
    world.do(
        "insert into sign_in_failures (id, email, address, created_at)"
        " select 'sif_' || n, 'user' || n || '@example.com', '10.9.9.9', now() from generate_series(1, 50) n"
    )
    with pytest.raises(SignInLimited):
        await try_in("ann@example.com", PASSWORD, "10.9.9.9")
    assert await try_in("ann@example.com", PASSWORD, "10.9.9.8")
