"""Attachments: pictures and files in a turn, kept once, shown by their hash, given back safely."""

import asyncio
import base64
import hashlib
from typing import Any

import pytest

from tests import pictures
from tests.pictures import file, gif, image, jpeg, png, said, webp
from tests.world import Client, Person, Tenant, World, error, ok

WHOLE = [
    (image(png()), "image/png"),
    (image(jpeg(), "image/jpeg"), "image/jpeg"),
    (image(gif(), "image/gif"), "image/gif"),
    (image(webp(), "image/webp"), "image/webp"),
    (file(b"%PDF-1.7\n%%EOF", "application/pdf"), "application/pdf"),
    (file("a,ä\n".encode(), "text/csv"), "text/csv"),
]


def content_of(part: dict[str, Any]) -> bytes:
    return base64.b64decode(part["data"])


@pytest.mark.parametrize(("part", "media_type"), WHOLE, ids=[media_type for _, media_type in WHOLE])
async def test_what_is_sent_is_shown_by_its_hash_and_given_back_whole(
    smith: Person, part: dict[str, Any], media_type: str
) -> None:
    run = ok(await smith.api.post(f"/v1/smiths/{smith.id}/runs", json=said("look", part | {"filename": "a ü.bin"})))
    sha256 = hashlib.sha256(content_of(part)).hexdigest()
    shown = {"type": part["type"], "media_type": media_type, "bytes": len(content_of(part)), "sha256": sha256}
    assert run["input"][0]["content"] == [{"type": "text", "text": "look"}, shown | {"filename": "a ü.bin"}]
    assert f"[{media_type}, {len(content_of(part))} bytes]" in run["output"]["content"]  # the model had all of it
    answer = await smith.api.get(f"/v1/smiths/{smith.id}/attachments/{sha256}")
    assert (answer.status_code, answer.content) == (200, content_of(part))
    assert answer.headers["content-type"].partition(";")[0] == media_type
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment; ")
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    told = ok(await smith.api.get(f"/v1/smiths/{smith.id}/threads/{run['thread_id']}/messages"))["data"]
    assert told[-1]["content"][1] == shown | {"filename": "a ü.bin"}


async def test_a_picture_is_kept_once_and_remembered_by_later_turns(world: World, project: Tenant) -> None:
    person = await project.person()
    path = f"/v1/smiths/{person.id}/runs"
    part = image(png(7))
    ok(await person.api.post(path, json=said("look", part, thread_id="t")))
    ok(await person.api.post(path, json=said("again", part, part, thread_id="t")))
    assert world.ask("select count(*) from attachments where smith_id = %s", person.id) == [(1,)]
    for table in ("runs", "transcripts", "frames"):
        held = (
            str(world.ask(f"select t::text from {table} t where smith_id = %s", person.id)) if table != "frames" else ""
        )
        assert part["data"] not in held
    ok(await project.api.patch(f"/v1/smiths/{person.id}", json={"model": "test/tools"}))
    assert (await project.run(person.id, "what was it?", thread_id="t"))["status"] == "completed"


async def test_one_that_was_sent_before_is_sent_again_by_its_hash(world: World, project: Tenant) -> None:
    person = await project.person()
    path = f"/v1/smiths/{person.id}/runs"
    first = ok(await person.api.post(path, json=said(image(png(9)), thread_id="one")))
    recorded = first["input"]
    again = ok(await person.api.post(path, json={"input": recorded, "thread_id": "two"}))
    assert again["input"] == recorded
    assert again["output"]["content"] == f"[image/png, {len(png(9))} bytes]"
    ok(await person.api.delete(f"/v1/smiths/{person.id}/threads/one"))
    sha256 = recorded[0]["content"][0]["sha256"]
    assert (await person.api.get(f"/v1/smiths/{person.id}/attachments/{sha256}")).content == png(9)
    ok(await person.api.delete(f"/v1/smiths/{person.id}/threads/two"))
    error(await person.api.get(f"/v1/smiths/{person.id}/attachments/{sha256}"), 404, "not_found")
    error(await person.api.post(path, json={"input": recorded}), 422, "invalid_attachment")


async def test_nobody_else_s_is_reached_by_its_hash(project: Tenant, other: Tenant) -> None:
    owner, sibling, stranger = await project.person(), await project.person(), await other.person()
    run = ok(await owner.api.post(f"/v1/smiths/{owner.id}/runs", json=said(image(png(11)))))
    sha256 = run["input"][0]["content"][0]["sha256"]
    for person in (sibling, stranger):
        error(await person.api.get(f"/v1/smiths/{person.id}/attachments/{sha256}"), 404, "not_found")
        error(await person.api.get(f"/v1/smiths/{owner.id}/attachments/{sha256}"), 403, "smith_mismatch")
        guessed = said({"type": "image", "sha256": sha256})
        error(await person.api.post(f"/v1/smiths/{person.id}/runs", json=guessed), 422, "invalid_attachment")
    error(await other.api.get(f"/v1/smiths/{owner.id}/attachments/{sha256}"), 404, "not_found")
    reader = await project.smith_token(owner.id, "memories:read")
    answer = await project.world.client(reader["token"]).get(f"/v1/smiths/{owner.id}/attachments/{sha256}")
    error(answer, 403, "insufficient_scope")


REFUSED = {
    "a page as a picture": image(b"<html>", "image/png"),
    "a picture that only begins": image(png()[:8] + b"<svg onload=alert(1)>", "image/png"),
    "a picture under another type": image(png(), "image/jpeg"),
    "a drawing that can hold scripts": image(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
    "a page": file(b"<html>", "text/html"),
    "a picture as a file": file(png(), "image/png"),
    "no type": {"type": "image", "data": "aGk="},
    "no base64": {"type": "image", "media_type": "image/png", "data": "~~~"},
    "nothing": image(b"", "image/png"),
    "nothing at all": {"type": "image"},
    "both": image(png(), url="https://example.com/a.png"),
    "an unknown hash": {"type": "image", "sha256": "0" * 64},
    "an address that is not https": {"type": "image", "url": "http://example.com/a.png"},
    "an address inside": {"type": "image", "url": "file:///etc/passwd"},
    "an address with a password": {"type": "image", "url": "https://me:secret@example.com/a.png"},
    "half an address": {"type": "image", "url": "https://"},
    "an address past all bounds": {"type": "image", "url": "https://example.com/" + "x" * 5000},
    "a name past all bounds": image(png(), filename="x" * 5_000_000),
    "a name of two lines": image(png(), filename="a\nb"),
}


@pytest.mark.parametrize("how", REFUSED)
async def test_what_is_no_picture_or_file_is_refused(world: World, smith: Person, how: str) -> None:
    before = world.ask("select count(*) from runs")
    answer = await smith.api.post(f"/v1/smiths/{smith.id}/runs", json=said("look", REFUSED[how]))
    error(answer, 422, "invalid_attachment", "input")
    assert world.ask("select count(*) from runs") == before


async def test_a_file_has_no_address_and_an_assistant_sends_none(smith: Person) -> None:
    path = f"/v1/smiths/{smith.id}/runs"
    answer = await smith.api.post(path, json=said({"type": "file", "url": "https://example.com/a.pdf"}))
    error(answer, 422, "schema_error")
    body = said(image(png()))
    body["input"][0]["role"] = "assistant"
    error(await smith.api.post(path, json=body), 422, "invalid_attachment")
    error(await smith.api.post(path, json=said({"type": "video", "data": "aGk="})), 422, "schema_error")


async def test_what_is_too_large_is_refused_and_the_project_says_how_large_that_is(project: Tenant) -> None:
    person = await project.person()
    path = f"/v1/smiths/{person.id}/runs"
    large = png(padding=4_000_000)
    assert ok(await person.api.post(path, json=said(image(large))))["input"][0]["content"][0]["bytes"] == len(large)
    answer = await person.api.post(path, json=said(image(png(padding=5_300_000))))
    error(answer, 413, "payload_too_large", "input")
    ok(await project.api.patch("/v1/tenant/settings", json={"limits": {"max_attachment_bytes": 100}}))
    error(await person.api.post(path, json=said(image(png(padding=100)))), 413, "payload_too_large", "input")
    ok(await project.api.patch("/v1/tenant/settings", json={"limits": {"max_attachment_bytes": None}}))
    many = said(*[image(png(number)) for number in range(21)])
    error(await person.api.post(path, json=many), 422, "invalid_attachment", "input")


async def test_text_keeps_its_own_bound_and_other_routes_theirs(smith: Person, api: Client) -> None:
    words = {"input": [{"content": "x" * 2_000_000}]}
    error(await smith.api.post(f"/v1/smiths/{smith.id}/runs", json=words), 413, "payload_too_large", "input")
    error(await api.post("/v1/agents", json={"name": "x" * 2_200_000}), 413, "payload_too_large")
    huge = said(image(b"x" * 9_500_000))
    error(await smith.api.post(f"/v1/smiths/{smith.id}/runs", json=huge), 413, "payload_too_large")


async def test_brackets_in_a_large_body_are_counted_in_no_time(smith: Person) -> None:
    words = '{"input": [{"content": [' + ",".join(['{"type": "text", "text": "' + "a" * 100_000 + '"}'] * 100) + "]}]}"
    begun = asyncio.get_running_loop().time()
    headers = {"Content-Type": "application/json"}
    answer = await smith.api.post(f"/v1/smiths/{smith.id}/runs", content=words, headers=headers)
    error(answer, 413, "payload_too_large", "input")
    assert asyncio.get_running_loop().time() - begun < 2


async def test_a_picture_of_another_house_is_left_there(smith: Person) -> None:
    url = "https://example.com/a.png"
    run = ok(await smith.api.post(f"/v1/smiths/{smith.id}/runs", json=said("look", {"type": "image", "url": url})))
    assert run["input"][0]["content"][1] == {"type": "image", "url": url}
    assert run["output"]["content"] == "look [image-url]"  # handed on as it is, to whoever fetches it
    assert run["warnings"] == []


async def test_pictures_alone_are_something_to_answer(smith: Person) -> None:
    run = ok(await smith.api.post(f"/v1/smiths/{smith.id}/runs", json=said(image(png()))))
    assert run["status"] == "completed"


async def test_the_same_picture_sent_twelve_times_at_once_is_one(world: World, project: Tenant) -> None:
    person = await project.person()
    body = said(image(png(33)), thread_id="t")
    answers = await asyncio.gather(*(person.api.post(f"/v1/smiths/{person.id}/runs", json=body) for _ in range(12)))
    assert [ok(answer)["status"] for answer in answers] == ["completed"] * 12
    assert world.ask("select count(*) from attachments where smith_id = %s", person.id) == [(1,)]


async def test_they_move_with_a_claim_stand_in_the_export_and_go_with_an_erasure(world: World, project: Tenant) -> None:
    stranger, user = await project.smith(external_id="anon:p"), await project.smith(external_id="user-p")
    for smith in (stranger, user):
        ok(await project.api.post(f"/v1/smiths/{smith['id']}/runs", json=said("look", image(png(55)), thread_id="t")))
    ok(await project.api.post(f"/v1/smiths/{stranger['id']}/claim", json={"external_id": "user-p"}))
    assert world.ask("select count(*), count(distinct thread_id) from attachments where smith_id = %s", user["id"]) == [
        (2, 2)
    ]
    exported = (await project.api.get(f"/v1/smiths/{user['id']}/export")).text
    assert exported.count(base64.b64encode(png(55)).decode()) == 2
    receipt = ok(await project.api.post(f"/v1/smiths/{user['id']}/erase"))
    assert receipt["counts"]["attachments"] == 2
    assert world.ask("select count(*) from attachments where smith_id = any(%s)", [user["id"], stranger["id"]]) == [
        (0,)
    ]


def test_the_pictures_here_are_pictures() -> None:
    assert pictures.png(padding=10) != pictures.png()
