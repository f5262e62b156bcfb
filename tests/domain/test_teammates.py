"""Teammates: who may sign in, and the one link that makes the first of them."""

import asyncio

import pytest

from ingram_app.core.database import NOBODY, transaction
from ingram_app.core.errors import IngramError
from ingram_app.domain import teammates
from ingram_app.domain.access import Role
from ingram_app.domain.teammates import InvalidEmail, InvalidName, InvalidPassword, Teammate, WelcomeLinkSpent
from tests.world import World

PASSWORD = "correct horse battery"


async def link() -> str:
    async with transaction(NOBODY) as session:
        found = await teammates.welcome_link(session)
    assert found is not None
    return found.partition("link=")[2]


async def welcome(word: str, email: str = "ann@example.com", password: str = PASSWORD, name: str = "Ann") -> Teammate:
    async with transaction(NOBODY) as session:
        return await teammates.welcome(session, word, organization="Acme", name=name, email=email, password=password)


@pytest.mark.parametrize("word", ["", "x", "0" * 64, "ü", "\x00"])
async def test_a_link_of_one_s_own_making_welcomes_nobody(world: World, word: str) -> None:
    with pytest.raises(WelcomeLinkSpent):
        await welcome(word)


async def test_what_is_typed_is_checked_and_costs_the_link_nothing(world: World) -> None:
    word = await link()
    with pytest.raises(InvalidPassword):
        await welcome(word, password="x" * 11)
    with pytest.raises(InvalidPassword):
        await welcome(word, password="x" * 1025)
    for email in ("", "ann", "@example.com", "ann@", "a b@example.com", "ann@exam\nple.com", "x" * 250 + "@a.com"):
        with pytest.raises(InvalidEmail):
            await welcome(word, email=email)
    with pytest.raises(InvalidName):
        await welcome(word, name="  ")
    assert await link() == word


async def test_of_two_visitors_of_one_link_one_becomes_the_owner(world: World) -> None:
    word = await link()
    found = await asyncio.gather(
        *[welcome(word, f"Owner{number}@Example.com") for number in range(4)], return_exceptions=True
    )
    (owner,) = [one for one in found if isinstance(one, Teammate)]
    assert all(isinstance(one, WelcomeLinkSpent) for one in found if one is not owner)
    assert (owner.role, owner.email) == (Role.owner, owner.email.lower())
    assert owner.password_hash is not None
    assert owner.password_hash.startswith("$argon2id$")
    async with transaction(NOBODY) as session:
        assert await teammates.welcome_link(session) is None


async def test_a_password_is_checked_and_nobody_has_none(world: World) -> None:
    async with transaction(NOBODY) as session:
        kept = await teammates.hash_password(PASSWORD)
        someone = Teammate(organization_id="org", email="e", name="n", role=Role.viewer, password_hash=kept)
        assert await teammates.check_password(someone, PASSWORD)
        assert not await teammates.check_password(someone, PASSWORD + "x")
        without = Teammate(organization_id="org", email="e", name="n", role=Role.viewer)
        assert not await teammates.check_password(without, "a password that nobody has")
        assert not await teammates.check_password(None, "a password that nobody has")
        assert await teammates.by_email(session, "nobody@example.com") is None


def test_every_failure_is_one_of_ours() -> None:
    assert issubclass(WelcomeLinkSpent, IngramError)
