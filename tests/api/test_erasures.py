"""Erasures: what is gone is gone, what was used still counts, and the receipt says what there was."""

import asyncio
from datetime import time
from typing import Any

from sqlmodel import SQLModel

from tests.api.routes import BODIES
from tests.world import Client, Tenant, World, error, ok, until

REMAINS = {"erasures", "audit"}
"""The tombstone, and who did what: neither holds a word about the person."""
SECRET = "zebra-4711"


async def erase(api: Client, smith_id: str) -> dict[str, Any]:
    answer = await api.post(f"/v1/smiths/{smith_id}/erase")
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def remember(api: Client, smith_id: str, word: str) -> None:
    """Have a smith hold a document, a fact and a past turn, with their vectors."""
    path = f"/v1/smiths/{smith_id}"
    ok(await api.put(f"{path}/memory", json={"content": word}))
    ok(await api.post(f"{path}/memories", json={"content": word}))
    ok(await api.post(f"{path}/memories/search", json={"query": word}))
    ok(await api.post(f"{path}/memory/recall", json={"query": word}))


async def test_a_person_is_forgotten_and_what_they_used_is_not(world: World, api: Client, project: Tenant) -> None:
    acme = await project.customer()
    smith = await project.smith(
        external_id=SECRET, display_name=SECRET, metadata={"who": SECRET}, customer_id=acme, instructions=SECRET
    )
    counted = {"smith_id": smith["id"], "meter": "pages", "quantity": 3, "idempotency_key": SECRET}
    event = ok(await api.post("/v1/usage/events", json=counted | {"metadata": {"who": SECRET}}))
    for _ in range(2):
        await project.run(smith["id"], f"I am {SECRET}", thread_id="t")
    await api.post(f"/v1/smiths/{smith['id']}/runs", json={"input": []})
    ok(await api.put(f"/v1/smiths/{smith['id']}/model_keys/openai", json={"api_key": SECRET}))
    await project.smith_token(smith["id"])
    await remember(api, smith["id"], f"Likes {SECRET}.")
    span = dict(BODIES["POST /v1/traces:ingest"]["spans"][0], smith_id=smith["id"], name=SECRET)
    ok(await api.post("/v1/traces:ingest", json={"spans": [span]}))
    ok(await api.post("/v1/budgets", json={"scope": "smith", "scope_id": smith["id"], "limit": 5}))
    used = world.ask(
        "select count(*), sum(input_tokens), sum(output_tokens) from runs where smith_id = %s", smith["id"]
    )
    receipt = await erase(api, smith["id"])
    assert set(receipt) == {"id", "smith_id", "erased_at", "counts"}
    counts = receipt["counts"]
    assert (receipt["id"][:4], receipt["smith_id"], counts.pop("frames") > 4) == ("ers_", smith["id"], True)
    assert counts.pop("events") > 0
    assert counts == {"threads": 1, "runs": 2, "messages": 4, "revisions": 1, "model_keys": 1, "tokens": 1,
                      "memories": 1, "memory_documents": 1, "summaries": 0, "attachments": 0,
                      "approvals": 0, "connections": 0, "tool_calls": 0, "spans": 1, "budgets": 1}  # fmt: skip
    kept = "select sum(runs), sum(input_tokens), sum(output_tokens) from model_calls where customer_id = %s"
    assert world.ask(kept, acme) == used
    shape = (
        "select distinct agent_id, agent_version, model, smith_id, (at at time zone 'UTC')::time from model_calls"
        " where customer_id = %s"
    )
    assert world.ask(shape, acme) == [(smith["agent_id"], 1, "test/echo", None, time())]
    left = "select customer_id, meter, quantity::int, smith_id, metadata from meter_events where id = %s"
    assert world.ask(left, event["id"]) == [(acme, "pages", 3, None, {})]
    for (table,) in world.ask("select tablename from pg_tables where schemaname = 'public'"):
        held = str(world.ask(f"select t::text from {table} t"))
        assert SECRET not in held, table
        if table not in REMAINS | {"events"}:
            assert smith["id"] not in held, table
    assert world.ask("select type from events where smith_id = %s", smith["id"]) == [("smith.erased",)]
    assert world.ask("select budgeted from projects where id = %s", project.id) == [(False,)]


async def test_a_receipt_is_shown_again(world: World, api: Client, project: Tenant) -> None:
    smith = await project.smith()
    error(await api.get(f"/v1/smiths/{smith['id']}/erase"), 404, "not_found")
    receipts = await asyncio.gather(*[erase(api, smith["id"]) for _ in range(12)])
    assert all(receipt == receipts[0] for receipt in receipts)
    assert ok(await api.get(f"/v1/smiths/{smith['id']}/erase")) == receipts[0]
    assert world.ask("select count(*) from audit where action = 'smith.erased' and resource_id = %s", smith["id"]) == [
        (1,)
    ]


async def test_nothing_answers_for_an_erased_smith_and_its_external_id_is_free(
    world: World, api: Client, project: Tenant
) -> None:
    smith = await project.smith(external_id="again")
    run = await project.run(smith["id"])
    client = world.client((await project.smith_token(smith["id"]))["token"])
    await erase(api, smith["id"])

    async def refused() -> bool:
        return (await client.get("/v1/runs")).status_code == 401

    await until(refused)
    path = f"/v1/smiths/{smith['id']}"
    for answer in (
        await api.get(path), await api.get(f"{path}/runs/{run['id']}"), await api.get(f"{path}/export"),
        await api.get(f"{path}/revisions"), await api.delete(path), await api.get(f"{path}/runs/{run['id']}/events"),
        await api.post(f"{path}/claim", json={"external_id": "x"}),
        await api.post(f"{path}/runs", json={"input": [{"role": "user", "content": "hello"}]}),
    ):  # fmt: skip
        error(answer, 404, "not_found")
    assert ok(await api.get("/v1/runs", params={"smith_id": smith["id"]}))["data"] == []
    again = await api.post("/v1/smiths", json={"external_id": "again"})
    assert again.status_code == 201
    assert again.json()["id"] != smith["id"]


async def test_no_answer_that_was_kept_tells_of_it(world: World, api: Client, project: Tenant) -> None:
    key = {"Idempotency-Key": "kept"}
    made = ok(await api.post("/v1/smiths", json={"external_id": "kept", "display_name": "Ann"}, headers=key))
    said = {"input": [{"role": "user", "content": "hello"}]}
    ok(await api.post(f"/v1/smiths/{made['id']}/runs", json=said, headers=key))
    first = await api.post(f"/v1/smiths/{made['id']}/erase", headers=key)
    second = await api.post(f"/v1/smiths/{made['id']}/erase", headers=key)
    assert (first.status_code, second.json()) == (202, first.json())
    assert second.headers["idempotency-replayed"] == "true"
    error(await api.post(f"/v1/smiths/{made['id']}/runs", json=said, headers=key), 404, "not_found")
    again = ok(await api.post("/v1/smiths", json={"external_id": "kept", "display_name": "Ann"}, headers=key))
    assert again["id"] != made["id"]


async def test_an_archived_smith_and_the_strangers_it_was_go_with_it(
    world: World, api: Client, project: Tenant
) -> None:
    user, stranger = await project.smith(external_id="user-f"), await project.smith(external_id="anon:f")
    await project.run(stranger["id"], "said before")
    ok(await api.post(f"/v1/smiths/{stranger['id']}/claim", json={"external_id": "user-f"}))
    ok(await api.delete(f"/v1/smiths/{user['id']}"))
    assert (await erase(api, user["id"]))["counts"]["runs"] == 1
    assert world.ask("select count(*) from smiths where id in (%s, %s)", user["id"], stranger["id"]) == [(0,)]


async def nothing_is_due(world: World) -> bool:
    return world.ask("select count(*) from memory_ops where due_at is not null") == [(0,)]


async def test_what_is_written_about_a_smith_while_it_is_erased_finds_nobody(
    world: World, api: Client, project: Tenant
) -> None:
    ok(await api.put("/v1/tenant/providers/google", json={"client_id": "us", "client_secret": "s3cret"}))
    smith = await project.smith()
    path = f"/v1/smiths/{smith['id']}"
    await project.run(smith["id"], thread_id="first")
    fact = ok(await api.post(f"{path}/memories", json={"content": "Likes tea."}))
    account = {"provider": "google", "credential": {"kind": "oauth_tokens", "access_token": "theirs"}}
    connection = ok(await api.post(f"{path}/connections", json=account))
    late: list[tuple[str, str, Any]] = [
        ("POST", "memories", {"content": "Likes cake."}),
        ("POST", "memories", {"content": "Hates tea.", "supersedes": fact["id"]}),
        ("PATCH", f"memories/{fact['id']}", {"content": "Likes cake."}),
        ("DELETE", f"memories/{fact['id']}", None),
        ("PUT", "memory", {"content": "Likes cake."}),
        ("POST", "connections", account),
        ("POST", "connections", account | {"provider": "other"}),
        ("POST", "connections/authorize", {"provider": "google"}),
        ("PATCH", f"connections/{connection['id']}", {"metadata": {}}),
        ("PUT", "model_keys/openai", {"api_key": "sk-theirs"}),
        ("PATCH", "threads/first", {"title": "Renamed"}),
        ("DELETE", "threads/first", None),
    ]
    await until(lambda: nothing_is_due(world))  # it would wait for us too
    with world.doing("delete from smiths where id = %s", smith["id"]):
        asking = [asyncio.create_task(api.request(method, f"{path}/{rest}", json=body)) for method, rest, body in late]
        recalling = asyncio.create_task(api.post(f"{path}/memory/recall", json={"query": "tea"}))
        await world.wait_for_us(len(late) + 1)
    for answer in await asyncio.gather(*asking):
        error(answer, 404, "not_found")
    assert ok(await recalling)["data"] == []


async def test_claims_deletes_and_erasures_that_race_end_in_one_story(api: Client, project: Tenant) -> None:
    for number in range(4):
        smith = await project.smith(external_id=f"anon:g{number}")
        path = f"/v1/smiths/{smith['id']}"
        answers = await asyncio.gather(
            *[api.post(f"{path}/claim", json={"external_id": f"user-g{number}"}) for _ in range(4)],
            *[api.delete(path) for _ in range(4)],
            *[api.post(f"{path}/erase") for _ in range(4)],
        )
        assert {answer.status_code for answer in answers[:8]} <= {200, 204, 404}
        assert len({answer.json()["id"] for answer in answers[8:] if answer.status_code == 202}) == 1
        assert ok(await api.get(f"{path}/erase"))["smith_id"] == smith["id"]


def test_whatever_is_held_about_a_smith_goes_with_its_row() -> None:
    """A noun that refers to a smith goes along when that is deleted; what does not is deleted, or forgets, by name."""
    of_runs = {"transcripts", "tool_calls", "approvals", "retrievals", "memory_ops"}
    counted = {"meter_events", "model_calls", "usage_sums"}
    of_traces = {"sent_spans"}
    by_name = {"summaries", "attachments", "events", *counted, *of_runs, *of_traces, *REMAINS}
    for table in SQLModel.metadata.sorted_tables:
        if "smith_id" in table.columns and table.name not in by_name:
            (key,) = table.columns["smith_id"].foreign_keys
            assert (key.column.table.name, key.ondelete) == ("smiths", "CASCADE"), table.name


async def test_a_late_start_finds_nobody(world: World, api: Client, project: Tenant) -> None:
    smith = await project.smith()
    said = {"input": [{"role": "user", "content": "hello"}], "background": True}
    path = f"/v1/smiths/{smith['id']}"
    receipt, *started = await asyncio.gather(
        api.post(f"{path}/erase"), *[api.post(f"{path}/runs", json=said) for _ in range(8)]
    )
    assert {answer.status_code for answer in started} <= {202, 404}
    taken = [answer.json()["id"] for answer in started if answer.is_success]
    assert receipt.json()["counts"]["runs"] == len(taken)
    for table, column in (("runs", "id"), ("frames", "run_id"), ("transcripts", "run_id")):
        assert world.ask(f"select count(*) from {table} where {column} = any(%s)", taken) == [(0,)]
