"""The working document: read, written anew, put back, and never another smith's."""

import asyncio

import pytest

from tests.world import Person, Tenant, World, error, ok


@pytest.fixture
async def smith(project: Tenant) -> Person:
    return await project.person()


async def test_a_smith_begins_with_an_empty_document(project: Tenant, smith: Person) -> None:
    assert ok(await project.api.get(f"/v1/smiths/{smith.id}/memory")) == {
        "content": "", "version": 0, "updated_at": None
    }  # fmt: skip


async def test_what_is_written_is_read_by_its_person_too(project: Tenant, smith: Person) -> None:
    ok(await project.api.put(f"/v1/smiths/{smith.id}/memory", json={"content": "# Ada\nLikes tea."}))
    assert ok(await smith.api.get(f"/v1/smiths/{smith.id}/memory"))["content"] == "# Ada\nLikes tea."


async def test_the_same_words_again_are_no_revision(smith: Person) -> None:
    for _ in range(2):
        written = ok(await smith.api.put(f"/v1/smiths/{smith.id}/memory", json={"content": "Likes tea."}))
    assert written["version"] == 1


async def test_a_revision_is_put_back_as_the_newest(smith: Person) -> None:
    path = f"/v1/smiths/{smith.id}/memory"
    for content in ("first", "second", "third"):
        ok(await smith.api.put(path, json={"content": content}))
    restored = ok(await smith.api.post(f"{path}/revisions/1/restore"))
    assert (restored["content"], restored["version"]) == ("first", 4)
    told = [one["content"] for one in ok(await smith.api.get(f"{path}/revisions"))["data"]]
    assert told == ["first", "third", "second", "first"]
    error(await smith.api.post(f"{path}/revisions/9/restore"), 404, "not_found")


async def test_what_was_written_since_is_not_overwritten_by_who_says_what_they_read(smith: Person) -> None:
    path = f"/v1/smiths/{smith.id}/memory"
    ok(await smith.api.put(path, json={"content": "first", "version": 0}))
    racing = [smith.api.put(path, json={"content": f"{number}", "version": 1}) for number in range(6)]
    answers = await asyncio.gather(*racing)
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 5]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.json()["error"]["code"] == "memory_document_changed"
    assert ok(await smith.api.get(path))["version"] == 2


async def test_a_hundred_revisions_are_kept(world: World, smith: Person) -> None:
    for number in range(103):
        ok(await smith.api.put(f"/v1/smiths/{smith.id}/memory", json={"content": f"{number}"}))
    [(count, oldest)] = world.ask("select count(*), min(version) from memory_documents where smith_id = %s", smith.id)
    assert (count, oldest) == (100, 4)


async def test_racing_writers_each_have_their_revision(smith: Person) -> None:
    path = f"/v1/smiths/{smith.id}/memory"
    await asyncio.gather(*(smith.api.put(path, json={"content": f"{number}"}) for number in range(12)))
    told = ok(await smith.api.get(f"{path}/revisions"))["data"]
    assert sorted(one["content"] for one in told) == sorted(map(str, range(12)))
    assert [one["version"] for one in told] == list(range(12, 0, -1))


async def test_what_is_too_long_is_refused_and_changes_nothing(smith: Person) -> None:
    path = f"/v1/smiths/{smith.id}/memory"
    ok(await smith.api.put(path, json={"content": "kept"}))
    error(await smith.api.put(path, json={"content": "é" * 16_385}), 422, "invalid_content", "content")
    assert ok(await smith.api.get(path))["content"] == "kept"


async def test_another_smith_and_another_project_have_no_part_in_it(
    project: Tenant, other: Tenant, smith: Person
) -> None:
    path = f"/v1/smiths/{smith.id}/memory"
    sibling = await project.person()
    error(await sibling.api.get(path), 403, "smith_mismatch")
    error(await sibling.api.put(path, json={"content": "x"}), 403, "smith_mismatch")
    error(await other.api.get(path), 404, "not_found")
    error(await other.api.put(path, json={"content": "x"}), 404, "not_found")
    error(await other.api.post(f"{path}/revisions/1/restore"), 404, "not_found")


async def test_a_token_needs_the_permission(project: Tenant) -> None:
    reader = await project.person("memories:read")
    path = f"/v1/smiths/{reader.id}/memory"
    ok(await reader.api.get(path))
    error(await reader.api.put(path, json={"content": "x"}), 403, "insufficient_scope")


async def test_a_writing_is_told_on_the_feed(project: Tenant, smith: Person) -> None:
    ok(await smith.api.put(f"/v1/smiths/{smith.id}/memory", json={"content": "told"}))
    asked = {"smith_id": smith.id, "type": "memory.updated"}
    [event] = ok(await project.api.get("/v1/events", params=asked))["data"]
    assert event["data"] == {"what": "document", "memory_id": None, "deed": "written"}
