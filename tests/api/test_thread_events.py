"""A thread's events, over a real connection: every frame of every run, in order, once, on whatever process."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from ingram_app.api import threads
from ingram_app.domain import frames
from tests.world import Person, Tenant, error, ok

Event = tuple[str, str, dict[str, Any]]


@asynccontextmanager
async def following(
    client: httpx.AsyncClient, slow: Person, last: str | None = None
) -> AsyncIterator[AsyncIterator[Event]]:
    headers = {} if last is None else {"Last-Event-ID": last}
    path = f"/v1/smiths/{slow.id}/threads/t/events"
    async with client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield events(answer)


async def events(answer: httpx.Response) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields["event"], fields["id"], json.loads(fields["data"])
            fields = {}


async def until_over(coming: AsyncIterator[Event], runs: int) -> list[Event]:
    """Return what comes until so many runs are over."""
    seen: list[Event] = []
    async with asyncio.timeout(15):
        while sum(name in ("run.completed", "run.cancelled", "run.failed") for name, _, _ in seen) < runs:
            seen.append(await anext(coming))
    return seen


async def say(client: httpx.AsyncClient, slow: Person, words: str, **more: Any) -> dict[str, Any]:
    body = {"input": [{"content": words}], "thread_id": "t", "background": True, **more}
    return dict(ok(await client.post(f"/v1/smiths/{slow.id}/runs", json=body)))


async def frames_of(client: httpx.AsyncClient, slow: Person, *runs: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the names and ids of all frames of some runs, as each run tells them."""
    found = []
    for run in runs:
        answer = await client.get(f"/v1/smiths/{slow.id}/runs/{run['id']}/events")
        lines = [line.partition(": ")[2] for line in answer.text.splitlines() if line.startswith(("event", "id"))]
        found += [(name, f"{run['id']}:{seq}") for name, seq in zip(lines[::2], lines[1::2], strict=True)]
    return found


async def test_the_run_under_way_is_told_from_its_beginning_and_all_that_come_later(
    online: httpx.AsyncClient, slow: Person
) -> None:
    before = await say(online, slow, "[[pause 0ms]] over and done")
    await frames_of(online, slow, before)
    runs = [await say(online, slow, "[[pause 10ms]] one two three four")]
    async with following(online, slow) as coming:
        seen = await until_over(coming, 1)
        runs += [await say(online, slow, f"[[pause 5ms]] {number} and more") for number in range(3)]
        seen += await until_over(coming, 3)
    assert [(name, id) for name, id, _ in seen] == await frames_of(online, slow, *runs)
    assert all(data["run_id"] == id.partition(":")[0] for _, id, data in seen)


async def test_a_stream_goes_on_after_any_of_its_events(online: httpx.AsyncClient, slow: Person) -> None:
    runs = [await say(online, slow, f"[[pause 5ms]] {number} one two") for number in range(3)]
    whole = await frames_of(online, slow, *runs)
    for place, (_, last) in enumerate(whole[:-1]):
        async with following(online, slow, last=last) as coming:
            seen = await until_over(coming, sum(name == "run.completed" for name, _ in whole[place + 1 :]))
        assert [(name, id) for name, id, _ in seen] == whole[place + 1 :]


async def test_turns_that_interrupt_and_turns_that_never_began_are_told_in_the_order_they_stand_in(
    online: httpx.AsyncClient, slow: Person
) -> None:
    first = await say(online, slow, "[[pause 5ms]] [[words 1000]] on")
    never, third = [await say(online, slow, "[[pause 0ms]] queued") for _ in range(2)]
    async with following(online, slow) as coming:
        seen = [await anext(coming) for _ in range(3)]
        ok(await online.post(f"/v1/smiths/{slow.id}/runs/{never['id']}/submit", json={"kind": "cancel"}))
        pressing = await say(online, slow, "[[pause 0ms]] at once", on_busy="interrupt")
        seen += await until_over(coming, 4)
    order = [data["run_id"] for name, _, data in seen if name in ("run.completed", "run.cancelled")]
    assert sorted(order) == sorted(run["id"] for run in (first, never, third, pressing))
    assert order[0] == first["id"]
    assert order.index(pressing["id"]) < order.index(third["id"])
    assert [(name, id) for name, id, _ in seen] == await frames_of(online, slow, *({"id": id} for id in order))
    middle = seen[len(seen) // 2][1]
    async with following(online, slow, last=middle) as coming:
        ended = [event for event in seen[len(seen) // 2 + 1 :] if event[0] in ("run.completed", "run.cancelled")]
        assert await until_over(coming, len(ended)) == seen[len(seen) // 2 + 1 :]


async def test_a_stream_waits_with_a_run_that_pauses_and_goes_on_with_it(
    online: httpx.AsyncClient, slow: Person, project: Tenant
) -> None:
    tools = [{"name": "open_page", "description": "Opens a page.", "parameters": {"type": "object"}}]
    ok(await project.api.patch(f"/v1/smiths/{slow.id}", json={"model": "test/tools", "client_tools": tools}))
    await frames_of(online, slow, await say(online, slow, "begin"))
    async with following(online, slow) as coming:
        run = await say(online, slow, "[[call open_page {}]]")
        queued = await say(online, slow, "and then")
        seen = [await anext(coming)]
        while seen[-1][0] != "run.paused":
            seen.append(await anext(coming))
        call_id = next(data["tool_call_id"] for name, _, data in seen if name == "tool.required")
        answer = {"kind": "tool_result", "tool_call_id": call_id, "result": "opened"}
        ok(await online.post(f"/v1/smiths/{slow.id}/runs/{run['id']}/submit", json=answer))
        seen += await until_over(coming, 2)
    assert [(name, id) for name, id, _ in seen] == await frames_of(online, slow, run, queued)


async def test_many_watchers_of_many_racing_turns_see_the_same(online: httpx.AsyncClient, slow: Person) -> None:
    await frames_of(online, slow, await say(online, slow, "[[pause 0ms]] begin"))

    async def watch() -> list[Event]:
        async with following(online, slow) as coming:
            opened.release()
            return await until_over(coming, 12)

    opened = asyncio.Semaphore(0)
    watchers = [asyncio.create_task(watch()) for _ in range(6)]
    for _ in watchers:
        await opened.acquire()
    await asyncio.gather(*(say(online, slow, f"[[pause 1ms]] turn {number}") for number in range(12)))
    first, *others = await asyncio.gather(*watchers)
    assert all(other == first for other in others)
    assert len({id for _, id, _ in first}) == len(first)


@pytest.mark.parametrize("last", ["7", "run_x:1", ":", "a:b:c", "{run}:x", "{run}", "{run}:-1", "{run}:" + "9" * 20])
async def test_what_is_no_frame_of_the_thread_is_refused_before_the_stream_begins(
    online: httpx.AsyncClient, slow: Person, last: str
) -> None:
    run = await say(online, slow, "[[pause 0ms]] hello")
    elsewhere = await say(online, slow, "[[pause 0ms]] hello", thread_id="elsewhere")
    path = f"/v1/smiths/{slow.id}/threads/t/events"
    for spelt in (last.format(run=run["id"]), f"{elsewhere['id']}:1"):
        answer = await online.get(path, headers={"Last-Event-ID": spelt})
        error(answer, 422, "invalid_last_event_id", "Last-Event-ID")


async def test_a_stream_ends_with_its_thread(online: httpx.AsyncClient, slow: Person) -> None:
    await say(online, slow, "[[pause 5ms]] [[words 2000]] on")
    async with following(online, slow) as coming:
        await anext(coming)
        assert (await online.delete(f"/v1/smiths/{slow.id}/threads/t")).status_code == 204
        rest = [name async for name, _, _ in coming]
    assert rest[-1] == "run.cancelled"


async def test_a_stream_ends_when_its_token_does(
    address: str, online: httpx.AsyncClient, slow: Person, project: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "CHECKED_SECONDS", 0.2)
    await say(online, slow, "[[pause 50ms]] [[words 400]] on")
    token = await project.smith_token(slow.id)
    headers = {"Authorization": f"Bearer {token['token']}"}
    async with httpx.AsyncClient(base_url=address, headers=headers) as client, following(client, slow) as coming:
        await anext(coming)
        ok(await project.api.delete(f"/v1/tenant/tokens/{token['id']}"))
        async with asyncio.timeout(5):
            names = [name async for name, _, _ in coming]
    assert "run.completed" not in names
    ok(await project.api.delete(f"/v1/smiths/{slow.id}/threads/t"))


async def test_a_quiet_stream_says_that_it_is_there(
    online: httpx.AsyncClient, slow: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "CHECKED_EVERY_SECONDS", 0.2)
    await frames_of(online, slow, await say(online, slow, "[[pause 0ms]] hello"))
    async with online.stream("GET", f"/v1/smiths/{slow.id}/threads/t/events") as answer, asyncio.timeout(15):
        assert await anext(answer.aiter_lines()) == ": still here"


@pytest.mark.parametrize("target", ["a%2Fb", "%2F", "a%2fmessages", "a%252Fb", "%2E%2E"])
async def test_a_name_with_slashes_comes_whole_over_the_wire(
    address: str, slow: Person, online: httpx.AsyncClient, target: str
) -> None:
    name = {"a%2Fb": "a/b", "%2F": "/", "a%2fmessages": "a/messages", "a%252Fb": "a%2Fb", "%2E%2E": ".."}[target]
    await say(online, slow, "[[pause 0ms]] hello", thread_id=name)
    answer = await asyncio.to_thread(raw_get, address, f"/v1/smiths/{slow.id}/threads/{target}", slow.token)
    assert json.loads(answer)["id"] == name


def raw_get(address: str, target: str, token: str) -> str:
    """Ask exactly as told, as no client library that tidies addresses up would."""
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as wire:
        head = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        wire.sendall(head.encode())
        return b"".join(iter(lambda: wire.recv(65536), b"")).partition(b"\r\n\r\n")[2].decode()
