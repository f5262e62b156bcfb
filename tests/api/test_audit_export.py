"""What is handed out as a file: to whom it belongs, whole, and harmless to open."""

import csv
import io
import json
from typing import Any

import httpx
import pytest

from ingram_app.core.database import transaction
from ingram_app.core.ids import new_id
from ingram_app.domain import audit
from ingram_app.domain.access import Role
from tests.console.desk import Desk, sit
from tests.world import World, error

PATH = "/exports/audit-log.csv"


@pytest.fixture
async def owner(world: World) -> Desk:
    return await sit()


async def note(desk: Desk, number: int, **details: Any) -> None:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        for _ in range(number):
            await audit.note(session, caller, "thing.done", new_id("key"), **details)


async def export(world: World, desk: Desk | None, **asked: str) -> httpx.Response:
    client = world.client()
    if desk is not None:
        client.cookies.set("ingram_session", desk.cookie)
    return await client.post(PATH, data=asked)


def read(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


async def test_the_audit_log_is_handed_out_whole_however_long_it_is(world: World, owner: Desk) -> None:
    await note(owner, 450, name="Grüße, „Ada“\nand a line", size=7)
    rows = read(await export(world, owner, action="thing.done"))
    assert len({row["resource_id"] for row in rows}) == 450
    assert [row["time"] for row in rows] == sorted((row["time"] for row in rows), reverse=True)
    assert json.loads(rows[0]["details"]) == {"name": "Grüße, „Ada“\nand a line", "size": 7}
    assert (rows[0]["actor_email"], rows[0]["project_id"]) == (owner.teammate.email, owner.project_id)


async def test_it_is_as_the_page_filters_it(world: World, owner: Desk) -> None:
    await note(owner, 2)
    everything = read(await export(world, owner))
    assert {"project.created", "thing.done"} <= {row["action"] for row in everything}
    one = everything[0]["resource_id"]
    for asked, number in (
        ({"action": "thing"}, 2),
        ({"resource": one}, 1),
        ({"actor": owner.teammate.email}, len(everything)),
        ({"actor": "somebody@else.example"}, 0),
        ({"action": "thin"}, 0),
    ):
        assert len(read(await export(world, owner, **asked))) == number, asked


async def test_no_cell_is_a_formula(world: World, owner: Desk) -> None:
    owner.teammate.email = "=cmd@example.com"
    caller = await owner.caller()
    assert caller.actor.email == "=cmd@example.com"
    async with transaction(caller.tenancy) as session:
        await audit.note(session, caller, "thing.done", "+1")
    [row] = read(await export(world, owner, action="thing"))
    assert (row["actor_email"], row["resource_id"]) == ("'=cmd@example.com", "'+1")


@pytest.mark.parametrize("role", [Role.member, Role.viewer])
async def test_it_is_for_owners_and_admins_alone(world: World, owner: Desk, role: Role) -> None:
    error(await export(world, await sit(role, beside=owner)), 403, "admin_required")
    assert read(await export(world, await sit(Role.admin, beside=owner)))


async def test_nobody_gets_it_without_a_session(world: World, owner: Desk) -> None:
    error(await export(world, None), 401, "unauthenticated")
    error(await export(world, Desk(owner.teammate, "a-forged-cookie", owner.project_id)), 401, "unauthenticated")
    error(await world.project.api.post(PATH), 401, "unauthenticated")


async def test_another_organization_s_log_is_not_in_it(world: World, owner: Desk) -> None:
    await note(owner, 1)
    stranger = await sit()
    assert "thing.done" not in {row["action"] for row in read(await export(world, stranger))}
