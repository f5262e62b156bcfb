"""A person's file as the console hands it to the browser: to who is signed in, and may."""

import json

import httpx
import pytest

from ingram_app.core.database import NOBODY, transaction
from ingram_app.core.settings import settings
from ingram_app.domain import sessions
from ingram_app.domain.access import Role
from ingram_app.domain.teammates import Teammate
from tests.world import Client, Tenant, World, error


async def seat(world: World, organization_id: str, role: Role) -> Client:
    """Return the browser of a teammate who is signed in."""
    async with transaction(NOBODY) as session:
        email = f"{role}@{organization_id}.example.com".lower()
        teammate = Teammate(organization_id=organization_id, email=email, name="Ada", role=role)
        session.add(teammate)
        await session.flush()
        cookie = await sessions.begin(session, teammate, address="127.0.0.1", agent="a test")
    browser = world.client()
    browser.cookies.set(settings().cookie, cookie)
    return browser


async def test_a_person_s_file_is_for_those_who_build(world: World, project: Tenant) -> None:
    smith = await project.smith(external_id="mine")
    path = f"/exports/{project.id}/{smith['id']}.jsonl"
    member = await seat(world, world.organization_id, Role.member)
    answer = await member.post(path)
    assert answer.headers["content-disposition"] == f'attachment; filename="{smith["id"]}.jsonl"'
    assert json.loads(answer.text.splitlines()[0])["external_id"] == "mine"
    noted = "select actor->>'email' from audit where action = 'smith.exported' and resource_id = %s"
    assert world.ask(noted, smith["id"]) == [(f"member@{world.organization_id}.example.com".lower(),)]
    error(await member.get(path), 405, "method_not_allowed")
    viewer = await seat(world, world.organization_id, Role.viewer)
    error(await viewer.post(path), 403, "insufficient_scope")


async def test_nobody_and_strangers_get_none(world: World, project: Tenant, other: Tenant) -> None:
    smith = await project.smith()
    path = f"/exports/{project.id}/{smith['id']}.jsonl"
    error(await world.nobody.post(path), 401, "unauthenticated")
    error(await project.api.post(path), 401, "unauthenticated")
    organization_id, _ = await world.organization("Strangers Inc.")
    stranger = await seat(world, organization_id, Role.owner)
    error(await stranger.post(path), 404, "not_found")
    owner = await seat(world, world.organization_id, Role.owner)
    error(await owner.post(f"/exports/{other.id}/{smith['id']}.jsonl"), 404, "not_found")


@pytest.mark.parametrize("cookie", ["", "x", "é" * 50])
async def test_a_made_up_cookie_is_nobody_s(world: World, project: Tenant, cookie: str) -> None:
    headers = httpx.Headers({"Cookie": f"{settings().cookie}={cookie}".encode()})
    answer = await world.nobody.post(f"/exports/{project.id}/smt_x.jsonl", headers=headers)
    error(answer, 401, "unauthenticated")
