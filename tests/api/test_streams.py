"""Streams, over a real connection: the frames of a run as they come, and from wherever a client left off."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.world import Person, Tenant, error, ok, until

Frame = tuple[str, int | None, dict[str, Any]]


async def frames(answer: httpx.Response) -> AsyncIterator[Frame]:
    """Yield each frame as it comes."""
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-request-id"].startswith("req_")
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            number = int(fields["id"]) if "id" in fields else None
            yield fields["event"], number, json.loads(fields["data"])
            fields = {}


@asynccontextmanager
async def streaming(client: httpx.AsyncClient, smith_id: str, words: str) -> AsyncIterator[AsyncIterator[Frame]]:
    body = {"input": [{"role": "user", "content": words}], "stream": True}
    async with client.stream("POST", f"/v1/smiths/{smith_id}/runs", json=body) as answer:
        yield frames(answer)


async def followed(client: httpx.AsyncClient, smith_id: str, run_id: str, last: int | None = None) -> list[Frame]:
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    async with client.stream("GET", f"/v1/smiths/{smith_id}/runs/{run_id}/events", headers=headers) as answer:
        return [frame async for frame in frames(answer)]


def spoken(seen: list[Frame]) -> str:
    return "".join(data["delta"] for name, _, data in seen if name == "message.delta")


async def test_a_stream_tells_its_run_as_it_works(online: httpx.AsyncClient, slow: Person) -> None:
    async with streaming(online, slow.id, "[[pause 20ms]] one two three") as coming:
        seen = [frame async for frame in coming]
    assert [number for _, number, _ in seen] == list(range(1, len(seen) + 1))
    assert [seen[0][0], seen[-2][0], seen[-1][0]] == ["run.started", "message.completed", "run.completed"]
    assert spoken(seen) == seen[-2][2]["content"] == "one two three"
    run_id = seen[0][2]["run_id"]
    assert all((data["v"], data["run_id"]) == (1, run_id) for _, _, data in seen)
    assert seen[0][2]["smith_id"] == slow.id
    assert set(seen[-1][2]) == {"v", "run_id", "stop_reason", "usage", "warnings"}


async def test_words_come_before_the_last_is_said(online: httpx.AsyncClient, slow: Person) -> None:
    async with streaming(online, slow.id, "[[pause 50ms]] [[words 40]] again") as coming:
        async for name, _, data in coming:
            if name == "message.delta":
                shown = ok(await online.get(f"/v1/smiths/{slow.id}/runs/{data['run_id']}"))
                assert shown["status"] == "running"
                ok(await online.post(f"/v1/smiths/{slow.id}/runs/{shown['id']}/submit", json={"kind": "cancel"}))
                break


async def test_a_stream_goes_on_where_it_was_left_wherever_that_is(online: httpx.AsyncClient, slow: Person) -> None:
    async with streaming(online, slow.id, "[[pause 30ms]] one two three four five six") as coming:
        begun = [await anext(coming) for _ in range(3)]
    run_id = begun[0][2]["run_id"]
    rest = await followed(online, slow.id, run_id, begun[-1][1])
    whole = await followed(online, slow.id, run_id)
    assert begun + rest == whole
    for last in range(len(whole) + 1):
        assert await followed(online, slow.id, run_id, last) == whole[last:]
    assert await followed(online, slow.id, run_id, 10**8) == []


async def test_many_watchers_see_the_same(online: httpx.AsyncClient, slow: Person) -> None:
    body = {"input": [{"role": "user", "content": "[[pause 20ms]] [[words 15]] again"}], "background": True}
    run = ok(await online.post(f"/v1/smiths/{slow.id}/runs", json=body))
    watchers = [followed(online, slow.id, run["id"]) for _ in range(8)]
    first, *others = await asyncio.gather(*watchers)
    assert first[-1][0] == "run.completed"
    assert all(other == first for other in others)


async def test_a_cancelled_run_ends_its_stream_and_says_why(online: httpx.AsyncClient, slow: Person) -> None:
    async with streaming(online, slow.id, "[[pause 30s]] wait") as coming:
        _, _, started = await anext(coming)
        path = f"/v1/smiths/{slow.id}/runs/{started['run_id']}/submit"
        ok(await online.post(path, json={"kind": "cancel", "reason": "enough"}))
        rest = [frame async for frame in coming]
    assert (rest[-1][0], rest[-1][2]["reason"]) == ("run.cancelled", "enough")


async def test_a_failed_run_ends_its_stream_and_says_why(
    online: httpx.AsyncClient, project: Tenant, slow: Person
) -> None:
    ok(await project.api.patch(f"/v1/smiths/{slow.id}", json={"model": "test/fail"}))
    async with streaming(online, slow.id, "[[after 2 words]] one two three") as coming:
        seen = [frame async for frame in coming]
    assert seen[-1][0] == "run.failed"
    assert seen[-1][2]["error"]["code"] == "model_stream_broken"


async def test_a_client_that_goes_away_does_not_stop_its_run(online: httpx.AsyncClient, slow: Person) -> None:
    async with streaming(online, slow.id, "[[pause 30ms]] one two three four") as coming:
        _, _, started = await anext(coming)
    path = f"/v1/smiths/{slow.id}/runs/{started['run_id']}"

    async def done() -> bool:
        return bool(ok(await online.get(path))["status"] == "completed")

    await until(done)


async def test_what_is_refused_is_refused_before_a_stream_begins(online: httpx.AsyncClient, slow: Person) -> None:
    path = f"/v1/smiths/{slow.id}/runs"
    error(await online.post(path, json={"stream": True}), 422, "empty_input")
    error(await online.get(f"{path}/run_1111111111111111111111/events"), 404, "not_found")


async def test_a_body_too_large_is_refused_on_the_wire_too(online: httpx.AsyncClient, slow: Person) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(256):
            yield b" " * 65536

    headers = {"Content-Type": "application/json"}
    answer = await online.post(f"/v1/smiths/{slow.id}/runs", content=endless(), headers=headers)
    error(answer, 413, "payload_too_large")
