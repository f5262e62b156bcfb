"""Facts: a repeat changes nothing, a contradiction replaces and keeps what was, and each smith has its own."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.world import Client, Person, Tenant, World, error, ok


@pytest.fixture
async def api(project: Tenant) -> Client:
    return project.api


@pytest.fixture
async def smith(project: Tenant) -> Person:
    return await project.person()


async def write(smith: Person, content: str, **fields: Any) -> dict[str, Any]:
    return dict(ok(await smith.api.post(f"/v1/smiths/{smith.id}/memories", json={"content": content, **fields})))


async def held(smith: Person, **params: Any) -> list[str]:
    found = ok(await smith.api.get(f"/v1/smiths/{smith.id}/memories", params=params))
    return [one["content"] for one in found["data"]]


async def test_a_fact_has_the_shape_of_the_contract(smith: Person) -> None:
    fact = await write(smith, "  Likes tea. ", category="preference", subject="tea", confidence=0.8)
    assert fact["id"].startswith("mem_")
    assert fact == {
        "id": fact["id"], "content": "Likes tea.", "category": "preference", "subject": "tea", "source_run_id": None,
        "confidence": 0.8, "superseded_by": None, "expires_at": None, "edits": [],
        "created_at": fact["created_at"], "updated_at": fact["updated_at"],
    }  # fmt: skip


@pytest.mark.parametrize("again", ["Likes tea.", "likes  tea", " LIKES TEA! "])
async def test_a_repeat_changes_nothing(smith: Person, again: str) -> None:
    first = await write(smith, "Likes tea.")
    assert await write(smith, again, category="other") == first
    assert await held(smith) == ["Likes tea."]


async def test_twelve_that_write_one_fact_at_once_write_it_once(smith: Person) -> None:
    written = await asyncio.gather(*(write(smith, "Lives in Rome.") for _ in range(12)))
    assert len({fact["id"] for fact in written}) == 1


async def test_a_contradiction_replaces_and_keeps_what_was(smith: Person) -> None:
    old = await write(smith, "Lives in Rome.")
    new = await write(smith, "Lives in Oslo.", supersedes=old["id"])
    assert await held(smith) == ["Lives in Oslo."]
    assert await held(smith, superseded=True) == ["Lives in Oslo.", "Lives in Rome."]
    assert ok(await smith.api.get(f"/v1/smiths/{smith.id}/memories/{old['id']}"))["superseded_by"] == new["id"]


async def test_what_was_replaced_can_be_held_again(smith: Person) -> None:
    old = await write(smith, "Lives in Rome.")
    await write(smith, "Lives in Oslo.", supersedes=old["id"])
    ok(await smith.api.post(f"/v1/smiths/{smith.id}/memories/{old['id']}/undo"))
    assert set(await held(smith)) == {"Lives in Rome.", "Lives in Oslo."}


async def test_a_change_can_be_taken_back_one_by_one(smith: Person) -> None:
    fact = await write(smith, "Has one dog.")
    path = f"/v1/smiths/{smith.id}/memories/{fact['id']}"
    ok(await smith.api.patch(path, json={"content": "Has two dogs."}))
    changed = ok(await smith.api.patch(path, json={"content": "Has three dogs.", "category": "family"}))
    assert [edit["content"] for edit in changed["edits"]] == ["Has one dog.", "Has two dogs."]
    assert ok(await smith.api.post(f"{path}/undo"))["content"] == "Has two dogs."
    assert ok(await smith.api.post(f"{path}/undo"))["content"] == "Has one dog."
    error(await smith.api.post(f"{path}/undo"), 422, "invalid_memory")


async def test_what_is_history_is_not_changed(smith: Person) -> None:
    old = await write(smith, "Lives in Rome.")
    await write(smith, "Lives in Oslo.", supersedes=old["id"])
    path = f"/v1/smiths/{smith.id}/memories/{old['id']}"
    error(await smith.api.patch(path, json={"content": "Lives in Bern."}), 409, "memory_superseded")


async def test_a_fact_can_not_become_another_that_is_held(smith: Person) -> None:
    await write(smith, "Likes tea.")
    other = await write(smith, "Likes coffee.")
    path = f"/v1/smiths/{smith.id}/memories/{other['id']}"
    error(await smith.api.patch(path, json={"content": "likes tea"}), 422, "invalid_memory", None)
    assert await held(smith) == ["Likes coffee.", "Likes tea."]


async def test_a_fact_that_is_forgotten_takes_what_it_replaced_along_and_nothing_else(
    world: World, project: Tenant, smith: Person
) -> None:
    sibling = await project.person()
    await write(sibling, "Lives in Oslo.")
    old = await write(smith, "Lives in Rome.")
    new = await write(smith, "Lives in Oslo.", supersedes=old["id"])
    await write(smith, "Likes tea.")
    assert (await smith.api.delete(f"/v1/smiths/{smith.id}/memories/{new['id']}")).status_code == 204
    assert await held(smith, superseded=True) == ["Likes tea."]
    assert await held(sibling) == ["Lives in Oslo."]
    error(await smith.api.get(f"/v1/smiths/{smith.id}/memories/{new['id']}"), 404, "not_found")


async def test_a_fact_whose_time_is_over_is_gone(world: World, smith: Person) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    fact = await write(smith, "Is in Oslo until tonight.", expires_at=soon)
    assert await held(smith) == ["Is in Oslo until tonight."]
    world.do("update memories set expires_at = now() where id = %s", fact["id"])
    assert await held(smith) == []
    error(await smith.api.get(f"/v1/smiths/{smith.id}/memories/{fact['id']}"), 404, "not_found")


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"content": ""}, "content"), ({"content": "x" * 2001}, "content"), ({"category": ""}, "category"),
        ({"subject": "x" * 81}, "subject"), ({"confidence": 1.01}, "confidence"), ({"confidence": -1}, "confidence"),
    ],
)  # fmt: skip
async def test_what_can_not_be_a_fact_is_refused_at_its_field(smith: Person, fields: Any, at: str) -> None:
    body = {"content": "Likes tea.", **fields}
    error(await smith.api.post(f"/v1/smiths/{smith.id}/memories", json=body), 422, "invalid_memory", at)
    assert await held(smith) == []


@pytest.mark.parametrize("field", ["content", "category", "confidence"])
async def test_what_a_fact_must_have_can_not_be_emptied(smith: Person, field: str) -> None:
    fact = await write(smith, "Likes tea.")
    path = f"/v1/smiths/{smith.id}/memories/{fact['id']}"
    error(await smith.api.patch(path, json={field: None}), 422, "schema_error", field)
    assert ok(await smith.api.get(path)) == fact


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_time_that_could_not_be_read_again_is_refused(api: Client, smith: Person, moment: str) -> None:
    path = f"/v1/smiths/{smith.id}/memories"
    body = {"content": "Likes tea.", "expires_at": moment}
    error(await smith.api.post(path, json=body), 422, "schema_error", "expires_at")
    fact = await write(smith, "Likes cake.")
    error(await smith.api.patch(f"{path}/{fact['id']}", json=body), 422, "schema_error", "expires_at")
    assert await held(smith) == ["Likes cake."]
    assert (await api.get(f"/v1/smiths/{smith.id}/export")).text.count("Likes") == 1


async def test_a_time_without_a_zone_is_in_utc(smith: Person) -> None:
    assert (await write(smith, "Likes tea.", expires_at="2199-01-01T00:00:00"))["expires_at"] == "2199-01-01T00:00:00Z"


async def test_facts_of_a_category_are_listed(smith: Person) -> None:
    await write(smith, "Likes tea.", category="preference")
    await write(smith, "Lives in Rome.")
    assert await held(smith, category="preference") == ["Likes tea."]


async def test_another_smith_and_another_project_have_no_part_in_them(
    project: Tenant, other: Tenant, smith: Person
) -> None:
    fact = await write(smith, "Likes tea.")
    path = f"/v1/smiths/{smith.id}/memories"
    sibling, stranger = await project.person(), await other.person()
    for method, where, body in (
        ("GET", path, None), ("POST", path, {"content": "x"}), ("GET", f"{path}/{fact['id']}", None),
        ("PATCH", f"{path}/{fact['id']}", {"content": "x"}), ("DELETE", f"{path}/{fact['id']}", None),
        ("POST", f"{path}/{fact['id']}/undo", None), ("POST", f"{path}/search", {"query": "tea"}),
    ):  # fmt: skip
        error(await sibling.api.request(method, where, json=body), 403, "smith_mismatch")
        error(await other.api.request(method, where, json=body), 404, "not_found")
    for person in (sibling, stranger):
        own = f"/v1/smiths/{person.id}/memories/{fact['id']}"
        error(await person.api.get(own), 404, "not_found")
        error(await person.api.delete(own), 404, "not_found")
        replacing = {"content": "x", "supersedes": fact["id"]}
        error(await person.api.post(f"/v1/smiths/{person.id}/memories", json=replacing), 404, "not_found")
    assert await held(smith) == ["Likes tea."]


async def test_what_was_true_for_a_while_can_be_written_down_again(smith: Person, world: World) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    fact = await write(smith, "Is in Oslo.", expires_at=soon)
    world.do("update memories set expires_at = now() where id = %s", fact["id"])
    again = await write(smith, "Is in Oslo.")
    assert again["id"] != fact["id"]
    assert await held(smith) == ["Is in Oslo."]


async def test_a_fact_whose_time_is_over_already_is_not_held(smith: Person) -> None:
    for _ in range(2):
        fact = await write(smith, "Was in Oslo.", expires_at="2020-01-01T00:00:00Z")
        assert fact["content"] == "Was in Oslo."
    assert await held(smith) == []
