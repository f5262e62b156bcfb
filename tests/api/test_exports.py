"""Exports: everything that is held about a person, in one file, and nothing of anybody else."""

import asyncio
import json
from collections import Counter
from contextlib import aclosing
from typing import Any

import pytest

from ingram_app.core.ids import new_id
from ingram_app.domain import exports
from ingram_app.domain.access import TENANT, Actor, Caller
from ingram_app.domain.exports import SECTIONS
from tests.pictures import image, png, said
from tests.world import Client, Tenant, World, error, ok, until


async def export(api: Client, smith_id: str) -> list[dict[str, Any]]:
    answer = await api.get(f"/v1/smiths/{smith_id}/export")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jsonl"), answer.text
    assert answer.headers["content-disposition"] == f'attachment; filename="{smith_id}.jsonl"'
    assert answer.text.endswith("\n")
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_a_file_holds_everything_about_a_person(world: World, api: Client, project: Tenant) -> None:
    sibling = await project.smith(external_id="sibling")
    await project.run(sibling["id"], "a sibling's secret")
    smith = await project.smith(external_id="anon:e", display_name="Ann", metadata={"plan": "gold"})
    for word in ("one", "two"):
        await project.run(smith["id"], f"{word} was said", thread_id="t")
    ok(await api.post(f"/v1/smiths/{smith['id']}/runs", json=said(image(png()), thread_id="t")))
    ok(await api.patch(f"/v1/smiths/{smith['id']}", json={"instructions": "Be brief."}))
    ok(await api.put(f"/v1/smiths/{smith['id']}/model_keys/openai", json={"api_key": "sk-very-secret"}))
    ok(await api.put(f"/v1/smiths/{smith['id']}/memory", json={"content": "Likes tea."}))
    ok(await api.post(f"/v1/smiths/{smith['id']}/memories", json={"content": "Likes tea."}))
    token = await project.smith_token(smith["id"], "runs:read")
    lines = await export(api, smith["id"])
    assert Counter(line["type"] for line in lines if line["type"] != "frame") == {
        "profile": 1, "revision": 2, "thread": 1, "attachment": 1, "run": 3, "message": 6, "token": 1, "model_key": 1,
        "usage": 1, "memory_document": 1, "memory": 1,
    }  # fmt: skip
    assert (lines[0]["type"], lines[0]["display_name"], lines[0]["metadata"]) == ("profile", "Ann", {"plan": "gold"})
    runs = [line for line in lines if line["type"] == "run"]
    assert [run["output"]["content"] for run in runs] == ["one was said", "two was said", "[image/png, 67 bytes]"]
    assert [line["event"] for line in lines if line["type"] == "frame"].count("run.completed") == 3
    assert lines[-1] == {"type": "usage", "model": "test/echo", "run_count": 3, "input_tokens": 29, "output_tokens": 9,
                         "cost_micros": 0}  # fmt: skip
    text = str(lines)
    ((hash, sealed),) = world.ask(
        "select t.hash, k.sealed_key from tokens t, model_keys k where t.id = %s and k.smith_id = %s",
        token["id"], smith["id"],
    )  # fmt: skip
    for secret in (token["token"], hash, "sk-very-secret", bytes(sealed).hex(), "a sibling's secret", sibling["id"]):
        assert secret not in text


async def test_an_archived_smith_and_one_that_was_claimed_are_in_it_too(api: Client, project: Tenant) -> None:
    user, stranger = await project.smith(external_id="user-e"), await project.smith(external_id="anon:e2")
    await project.run(stranger["id"], "said before")
    ok(await api.post(f"/v1/smiths/{stranger['id']}/claim", json={"external_id": "user-e"}))
    ok(await api.delete(f"/v1/smiths/{user['id']}"))
    lines = await export(api, user["id"])
    assert {line["id"] for line in lines if line["type"] == "profile"} == {user["id"], stranger["id"]}
    assert [line["input"][0]["content"] for line in lines if line["type"] == "run"] == ["said before"]


async def test_a_long_story_comes_whole_and_in_order(world: World, api: Client, project: Tenant) -> None:
    smith = await project.smith()
    run = await project.run(smith["id"], thread_id="t")
    copy = "insert into runs select (jsonb_populate_record(r, jsonb_build_object('id', 'run_' || n))).* from runs r,"
    world.do(f"{copy} generate_series(1000, 1110) n where id = %s", run["id"])
    world.do(
        "insert into frames (run_id, seq, project_id, event, data, created_at) select id, n, project_id,"
        " 'message.delta', '{}', now() from runs, generate_series(100, 130) n where smith_id = %s",
        smith["id"],
    )
    lines = await export(api, smith["id"])
    runs = [line["id"] for line in lines if line["type"] == "run"]
    assert len(runs) == len(set(runs)) == 112
    told = [(line["run_id"], line["seq"]) for line in lines if line["type"] == "frame"]
    ((held,),) = world.ask("select count(*) from frames join runs on runs.id = run_id where smith_id = %s", smith["id"])
    assert len(told) == len(set(told)) == held


async def test_a_client_that_is_slow_keeps_no_transaction_open(world: World, project: Tenant) -> None:
    smith = await project.smith()
    await project.run(smith["id"])
    caller = Caller(Actor("tenant", project.id), frozenset({TENANT}), project_id=project.id)
    idle = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in trans%%'"

    async def nothing_idle() -> bool:
        return world.ask(idle) == [(0,)]

    async with aclosing(exports.lines(caller, smith["id"])) as lines:
        async for _ in lines:
            await until(nothing_idle)


async def test_what_is_not_there_is_refused_before_the_file_begins(api: Client, other: Tenant) -> None:
    foreign = await other.smith()
    for smith_id in (foreign["id"], new_id("smt"), "x"):
        error(await api.get(f"/v1/smiths/{smith_id}/export"), 404, "not_found")


async def test_an_export_is_written_down(world: World, api: Client, project: Tenant) -> None:
    smith = await project.smith()
    await asyncio.gather(*[export(api, smith["id"]) for _ in range(2)])
    noted = "select count(*) from audit where action = 'smith.exported' and resource_id = %s"
    assert world.ask(noted, smith["id"]) == [(2,)]


@pytest.mark.parametrize(
    "section", [*SECTIONS, *(part for one in SECTIONS for part in one.parts)], ids=lambda s: s.kind
)
def test_no_section_tells_a_secret(section: Any) -> None:
    secrets = {"hash", "prefix", "sealed_key", "lease_owner", "actor"}
    assert set(section.told) & secrets == set()
    assert all(hasattr(section.table, name) for name in (*section.told, *section.key))
