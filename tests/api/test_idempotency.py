"""Idempotency: what is asked twice is done once, and answered the same."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from ingram_app.domain import agents, idempotency
from tests.world import Client, Person, Tenant, World, error, ok, until

AGENT = {"name": "Once"}
RUN = {"input": [{"role": "user", "content": "hello"}]}
SLOW = {"input": [{"role": "user", "content": "[[pause 50ms]] [[words 30]] again"}]}


def key(word: str) -> dict[str, str]:
    return {"Idempotency-Key": word}


async def count(world: World, table: str) -> int:
    ((number,),) = world.ask(f"select count(*) from {table}")
    return int(number)


def is_replay_of(second: httpx.Response, first: httpx.Response) -> bool:
    assert second.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    return (second.status_code, second.content, second.headers["content-type"]) == (
        first.status_code,
        first.content,
        first.headers["content-type"],
    )


async def test_the_second_answer_is_the_first_byte_for_byte(world: World, api: Client) -> None:
    before = await count(world, "agents")
    first, second = [await api.post("/v1/agents", json=AGENT, headers=key("one")) for _ in range(2)]
    assert first.status_code == 201
    assert is_replay_of(second, first)
    assert await count(world, "agents") == before + 1


async def test_a_change_since_does_not_change_the_answer(api: Client) -> None:
    first = await api.post("/v1/agents", json=AGENT, headers=key("change"))
    ok(await api.patch(f"/v1/agents/{first.json()['id']}", json={"name": "Changed"}))
    assert is_replay_of(await api.post("/v1/agents", json=AGENT, headers=key("change")), first)


async def test_a_token_is_shown_again_to_who_minted_it(world: World, api: Client) -> None:
    first, second = [await api.post("/v1/tenant/tokens", json={"scope": "admin"}, headers=key("t")) for _ in "12"]
    assert is_replay_of(second, first)
    ok(await world.client(second.json()["token"]).get("/v1/agents"))


async def test_the_same_key_with_another_body_is_refused(api: Client) -> None:
    ok(await api.post("/v1/agents", json=AGENT, headers=key("two")))
    for body in ({"name": "Other"}, AGENT | {"slug": "other"}):
        answer = await api.post("/v1/agents", json=body, headers=key("two"))
        error(answer, 422, "idempotency_key_reused", "Idempotency-Key")


async def test_a_key_belongs_to_its_path(api: Client, project: Tenant) -> None:
    ok(await api.post("/v1/agents", json=AGENT, headers=key("three")))
    assert "idempotency-replayed" not in (await api.post("/v1/smiths", json={}, headers=key("three"))).headers


async def test_another_tenant_s_same_key_is_another_key(api: Client, other_api: Client) -> None:
    mine = await api.post("/v1/agents", json=AGENT, headers=key("four"))
    theirs = await other_api.post("/v1/agents", json=AGENT, headers=key("four"))
    assert ok(mine)["id"] != ok(theirs)["id"]
    assert "idempotency-replayed" not in theirs.headers
    ok(await other_api.post("/v1/agents", json={"name": "Free"}, headers=key("only mine")))


async def test_an_admin_s_answer_is_not_repeated_to_a_smith(api: Client, smith: Person) -> None:
    body = {"scope": "admin"}
    ok(await api.post("/v1/tenant/tokens", json=body, headers=key("admin")))
    error(await smith.api.post("/v1/tenant/tokens", json=body, headers=key("admin")), 403, "tenant_token_required")


async def test_a_run_s_answer_is_not_repeated_to_who_may_not_run(world: World, project: Tenant, smith: Person) -> None:
    path = f"/v1/smiths/{smith.id}/runs"
    ok(await smith.api.post(path, json=RUN, headers=key("mine")))
    reader = world.client((await project.smith_token(smith.id, "traces:read"))["token"])
    error(await reader.post(path, json=RUN, headers=key("mine")), 403, "insufficient_scope")


async def test_two_tokens_of_one_project_share_their_keys(world: World, api: Client) -> None:
    first = await api.post("/v1/agents", json=AGENT, headers=key("shared"))
    second_token = ok(await api.post("/v1/tenant/tokens", json={"scope": "admin"}))["token"]
    assert is_replay_of(await world.client(second_token).post("/v1/agents", json=AGENT, headers=key("shared")), first)


async def test_what_failed_may_be_tried_again(api: Client) -> None:
    error(await api.post("/v1/agents", json={"name": "x", "slug": "Not!"}, headers=key("bad")), 422, "invalid_slug")
    ok(await api.post("/v1/agents", json={"name": "x", "slug": "good"}, headers=key("bad")))


@pytest.mark.parametrize("word", ["", "x" * 256, "ü", "a\tb", "\x7f"])
async def test_a_key_is_up_to_255_printable_letters(api: Client, word: str) -> None:
    headers = {"Idempotency-Key": word.encode("latin-1")}
    error(await api.post("/v1/agents", json=AGENT, headers=headers), 422, "invalid_idempotency_key", "Idempotency-Key")


async def test_the_longest_key_works(api: Client) -> None:
    first, second = [await api.post("/v1/agents", json=AGENT, headers=key("y" * 255)) for _ in "12"]
    assert is_replay_of(second, first)


async def test_after_24_hours_a_key_is_new(world: World, api: Client) -> None:
    first = await api.post("/v1/agents", json=AGENT, headers=key("old"))
    world.do("update idempotency_keys set created_at = now() - interval '23 hours 59 minutes' where key = 'old'")
    assert is_replay_of(await api.post("/v1/agents", json=AGENT, headers=key("old")), first)
    world.do("update idempotency_keys set created_at = now() - interval '24 hours 1 second' where key = 'old'")
    again = await api.post("/v1/agents", json={"name": "Another"}, headers=key("old"))
    assert ok(again)["id"] != ok(first)["id"]
    assert "idempotency-replayed" not in again.headers


async def test_of_many_at_once_one_is_done(world: World, api: Client) -> None:
    before = await count(world, "agents")
    answers = await asyncio.gather(*[api.post("/v1/agents", json=AGENT, headers=key("many")) for _ in range(10)])
    assert await count(world, "agents") == before + 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    for answer in answers:
        if answer.status_code == 409:
            error(answer, 409, "idempotency_in_progress")
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1


async def test_a_deed_whose_answer_was_not_kept_was_not_done(
    world: World, api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await count(world, "agents"), await count(world, "idempotency_keys")

    async def crash(*_: Any) -> None:
        raise RuntimeError("the power went")

    with monkeypatch.context() as patch:
        patch.setattr(idempotency, "keep", crash)
        error(await api.post("/v1/agents", json=AGENT, headers=key("crash")), 500, "internal_error")
    assert (await count(world, "agents"), await count(world, "idempotency_keys")) == before
    ok(await api.post("/v1/agents", json=AGENT, headers=key("crash")))


async def test_a_client_that_goes_away_in_the_middle_leaves_nothing_half_done(
    world: World, api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, create = asyncio.Event(), agents.create

    async def slowly(*given: Any, **more: Any) -> Any:
        made = await create(*given, **more)
        begun.set()
        await asyncio.Event().wait()
        return made

    with monkeypatch.context() as patch:
        patch.setattr(agents, "create", slowly)
        asking = asyncio.create_task(api.post("/v1/agents", json=AGENT, headers=key("gone")))
        await begun.wait()
        error(await api.post("/v1/agents", json=AGENT, headers=key("gone")), 409, "idempotency_in_progress")
        asking.cancel()
        await asyncio.wait({asking})
    first = await api.post("/v1/agents", json=AGENT, headers=key("gone"))
    assert ok(first)
    assert "idempotency-replayed" not in first.headers


async def test_answers_are_kept_sealed(world: World, api: Client) -> None:
    made = ok(await api.post("/v1/tenant/tokens", json={"scope": "admin"}, headers=key("sealed")))
    ((kept,),) = world.ask("select sealed_answer from idempotency_keys where key = 'sealed'")
    assert made["token"].encode() not in bytes(kept)


async def test_a_run_is_answered_again_byte_for_byte(world: World, smith: Person) -> None:
    path, before = f"/v1/smiths/{smith.id}/runs", await count(world, "runs")
    first, second = [await smith.api.post(path, json=RUN, headers=key("run")) for _ in "12"]
    assert first.json()["status"] == "completed"
    assert is_replay_of(second, first)
    assert await count(world, "runs") == before + 1


async def test_a_background_run_is_answered_as_it_was_then(world: World, smith: Person) -> None:
    path = f"/v1/smiths/{smith.id}/runs"
    first = await smith.api.post(path, json=RUN | {"background": True}, headers=key("background"))
    assert (first.status_code, first.json()["status"]) == (202, "queued")

    async def done() -> bool:
        return bool(ok(await smith.api.get(f"{path}/{first.json()['id']}"))["status"] == "completed")

    await until(done)
    second = await smith.api.post(path, json=RUN | {"background": True}, headers=key("background"))
    assert is_replay_of(second, first)


@pytest.mark.parametrize("background", [False, True])
async def test_a_stream_asked_for_twice_names_the_run_there_is(smith: Person, background: bool) -> None:
    path, asked = f"/v1/smiths/{smith.id}/runs", RUN | {"stream": True, "background": background}
    first = await smith.api.post(path, json=asked, headers=key(f"stream {background}"))
    second = await smith.api.post(path, json=asked, headers=key(f"stream {background}"))
    run_id = json.loads(first.text.split("data: ")[1].split("\n")[0])["run_id"]
    assert second.status_code == 200
    assert second.text.count("event:") == 1
    assert second.text.startswith("event: run.duplicate\n")
    told = json.loads(second.text.split("data: ")[1])
    assert told == {"v": 1, "run_id": run_id, "status": "completed"}


async def test_a_run_that_still_works_is_in_progress(slow: Person) -> None:
    path = f"/v1/smiths/{slow.id}/runs"
    asking = asyncio.create_task(slow.api.post(path, json=SLOW, headers=key("slow")))

    async def begun() -> Any:
        return ok(await slow.api.get(path))["data"]

    await until(begun)
    error(await slow.api.post(path, json=SLOW, headers=key("slow")), 409, "idempotency_in_progress")
    first = await asking
    assert is_replay_of(await slow.api.post(path, json=SLOW, headers=key("slow")), first)


async def test_a_run_goes_on_when_its_client_goes_away_and_is_found_again(world: World, slow: Person) -> None:
    path, before = f"/v1/smiths/{slow.id}/runs", await count(world, "runs")
    asking = asyncio.create_task(slow.api.post(path, json=SLOW, headers=key("lost")))

    async def begun() -> Any:
        return ok(await slow.api.get(path))["data"]

    (run,) = await until(begun)
    asking.cancel()
    await asyncio.wait({asking})

    async def answered() -> Any:
        answer = await slow.api.post(path, json=SLOW, headers=key("lost"))
        return answer if answer.status_code != 409 else None

    found = ok(await until(answered))
    assert (found["id"], found["status"]) == (run["id"], "completed")
    assert await count(world, "runs") == before + 1


async def test_a_run_that_was_refused_may_be_asked_for_again(project: Tenant) -> None:
    person = await project.person(model="gpt-5.2")
    path = f"/v1/smiths/{person.id}/runs"
    error(await person.api.post(path, json=RUN, headers=key("refused")), 422, "model_key_missing")
    ok(await project.api.patch(f"/v1/smiths/{person.id}", json={"model": "test/echo"}))
    assert ok(await person.api.post(path, json=RUN, headers=key("refused")))["status"] == "completed"
