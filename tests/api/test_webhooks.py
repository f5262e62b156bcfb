"""Webhooks by API: who may set where events go, where they may go, and a secret that is shown once."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ingram_app.core.settings import settings
from ingram_app.domain.webhooks import MOST
from tests.fakes.receiver import receiving
from tests.world import Client, Person, Tenant, World, error, ok, until

HOOKS = "/v1/tenant/webhooks"
URL = "https://hooks.example.com/ingram"


@pytest.fixture(autouse=True)
async def none_stay(api: Client) -> AsyncIterator[None]:
    yield
    for hook in ok(await api.get(HOOKS))["data"]:
        await api.delete(f"{HOOKS}/{hook['id']}")


async def made(api: Client, **fields: Any) -> dict[str, Any]:
    return dict(ok(await api.post(HOOKS, json={"url": URL} | fields)))


async def test_a_webhook_s_secret_is_shown_once(api: Client, world: World) -> None:
    answer = await api.post(HOOKS, json={"url": URL, "events": ["run.failed", "agent"]})
    assert answer.status_code == 201
    hook = ok(answer)
    assert (hook["url"], hook["events"], hook["active"]) == (URL, ["run.failed", "agent"], True)
    assert hook["id"].startswith("whk_")
    assert hook["secret"].startswith("whsec_")
    assert len(base64.b64decode(hook["secret"].removeprefix("whsec_"))) == 32
    listed = await api.get(HOOKS)
    assert ok(listed)["data"] == [{name: value for name, value in hook.items() if name != "secret"}]
    patched = await api.patch(f"{HOOKS}/{hook['id']}", json={"active": False})
    for text in (listed.text, patched.text, str(world.ask("select w::text from webhooks w"))):
        assert hook["secret"] not in text


async def test_a_webhook_is_changed_and_removed(api: Client, world: World) -> None:
    hook = await made(api, events=["run"])
    path = f"{HOOKS}/{hook['id']}"
    changed = ok(await api.patch(path, json={"url": f"{URL}/2", "events": [], "active": False}))
    assert (changed["url"], changed["events"], changed["active"]) == (f"{URL}/2", [], False)
    assert changed["updated_at"] > hook["updated_at"]
    error(await api.patch(path, json={}), 422, "nothing_to_update")
    assert (await api.delete(path)).status_code == 204
    error(await api.delete(path), 404, "not_found")
    actions = "select action, actor ->> 'kind' from audit where resource_id = %s order by created_at, id"
    assert world.ask(actions, hook["id"]) == [
        ("webhook.created", "tenant"),
        ("webhook.changed", "tenant"),
        ("webhook.removed", "tenant"),
    ]


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        ("http://hooks.example.com/", 422, "invalid_url"),
        ("ftp://hooks.example.com/", 422, "invalid_url"),
        ("hooks.example.com", 422, "invalid_url"),
        ("https://", 422, "invalid_url"),
        ("https:///path", 422, "invalid_url"),
        ("https://ann:secret@hooks.example.com/", 422, "invalid_url"),
        ("https://hooks.example.com:99999999/", 422, "invalid_url"),
        ("https://hooks.example.com/\r\nHost: other", 422, "invalid_url"),
        ("https://hooks.example.com/" + "x" * 2000, 422, "invalid_url"),
        ("https://localhost/", 403, "forbidden_target"),
        ("https://127.0.0.1:8443/", 403, "forbidden_target"),
        ("https://2130706433/", 403, "forbidden_target"),
        ("https://[::1]/", 403, "forbidden_target"),
        ("https://169.254.169.254/latest/meta-data", 403, "forbidden_target"),
    ],
)
async def test_where_nothing_may_be_sent_is_refused_when_it_is_set(
    api: Client, url: str, status: int, code: str
) -> None:
    told = error(await api.post(HOOKS, json={"url": url}), status, code, "url")
    assert len(told["message"]) < 500
    hook = await made(api)
    error(await api.patch(f"{HOOKS}/{hook['id']}", json={"url": url}), status, code, "url")


@pytest.mark.parametrize("wrong", ["run.exploded", "runs", "", ".", "*", "run.completed.", "x" * 5000])
async def test_a_type_that_there_is_not_is_refused(api: Client, wrong: str) -> None:
    error(await api.post(HOOKS, json={"url": URL, "events": ["run", wrong]}), 422, "invalid_events", "events")


@pytest.mark.parametrize("body", [{"active": None}, {"url": None}, {"events": "run"}, {"secret": "whsec_mine"}])
async def test_a_change_that_makes_no_sense_is_refused(api: Client, body: dict[str, Any]) -> None:
    hook = await made(api)
    error(await api.patch(f"{HOOKS}/{hook['id']}", json=body), 422, "schema_error")


@pytest.mark.parametrize("seconds", [-1, 604_801, 10**30])
async def test_a_grace_has_its_bounds(api: Client, seconds: int) -> None:
    hook = await made(api)
    path = f"{HOOKS}/{hook['id']}/rotate_secret"
    error(await api.post(path, json={"grace_seconds": seconds}), 422, "invalid_grace_seconds", "grace_seconds")


async def test_a_secret_is_rotated_with_a_grace_or_at_once(api: Client) -> None:
    hook = await made(api)
    path = f"{HOOKS}/{hook['id']}/rotate_secret"
    second = ok(await api.post(path))
    assert second["previous_secret_until"] is not None
    third = ok(await api.post(path, json={"grace_seconds": 0}))
    assert third["previous_secret_until"] is None
    assert len({hook["secret"], second["secret"], third["secret"]}) == 3


async def test_a_repeated_request_is_answered_with_the_same_secret(api: Client, world: World) -> None:
    headers = {"Idempotency-Key": "a-webhook"}
    first, again = [await api.post(HOOKS, json={"url": URL}, headers=headers) for _ in range(2)]
    assert ok(first) == ok(again)
    assert world.ask("select count(*) from webhooks") == [(1,)]


async def test_a_project_has_so_many_webhooks_and_no_more_however_many_try(api: Client, world: World) -> None:
    for _ in range(MOST - 2):
        await made(api)
    answers = await asyncio.gather(*(api.post(HOOKS, json={"url": URL}) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [409] * 10
    assert world.ask("select count(*) from webhooks") == [(MOST,)]


async def test_a_smith_s_token_has_nothing_to_do_here(api: Client, smith: Person) -> None:
    hook = await made(api)
    for method, path in (("GET", HOOKS), ("POST", HOOKS), ("DELETE", f"{HOOKS}/{hook['id']}")):
        body = {"url": URL} if method == "POST" else None
        error(await smith.api.request(method, path, json=body), 403, "tenant_token_required")


async def test_deliveries_are_listed_newest_first_by_page_and_by_status(
    api: Client, project: Tenant, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IC_ALLOW_PRIVATE_ADDRESSES", "true")
    settings.cache_clear()
    async with receiving() as receiver:
        hook = await made(api, url=f"{receiver.address}/ok", events=["smith"])
        path = f"{HOOKS}/{hook['id']}/deliveries"
        made_ = [(await project.smith())["id"] for _ in range(3)]

        async def all_delivered() -> list[dict[str, Any]] | None:
            found = ok(await api.get(path, params={"status": "delivered"}))["data"]
            return found if len(found) == 3 else None

        rows = await until(all_delivered)
        assert [event["smith_id"] for event in receiver.told("/ok")] == made_
        feed = await api.get("/v1/events", params={"type": "smith.created"})
        assert all(request.body.decode() in feed.text for request in receiver.heard)
        assert [row["event_id"] for row in rows] == [event["id"] for event in ok(feed)["data"][:3]]
        first = ok(await api.get(path, params={"limit": 2}))
        rest = ok(await api.get(path, params={"limit": 2, "cursor": first["next_cursor"]}))
        assert [*first["data"], *rest["data"]] == rows
        assert ok(await api.get(path, params={"status": "dead"}))["data"] == []
        error(await api.get(path, params={"status": "lost"}), 422, "schema_error", "status")
        answer = await api.post(f"{path}/{rows[0]['id']}/redeliver")
        assert (answer.status_code, ok(answer)["redelivery_of"]) == (202, rows[0]["id"])
        tried = await api.post(f"{HOOKS}/{hook['id']}/test")
        assert (tried.status_code, ok(tried)["event_type"], ok(tried)["state"]) == (202, "webhook.test", "pending")

        async def five() -> bool:
            return len(receiver.heard) == 5

        await until(five)
        types = [event["type"] for event in receiver.told("/ok")]
        assert types == ["smith.created"] * 4 + ["webhook.test"]
    monkeypatch.undo()
    settings.cache_clear()


async def test_a_delivery_of_another_webhook_is_not_found(api: Client, world: World, project: Tenant) -> None:
    hook, other = await made(api), await made(api)
    delivery_id = project.delivery(hook["id"])
    path = f"deliveries/{delivery_id}/redeliver"
    error(await api.post(f"{HOOKS}/{other['id']}/{path}"), 404, "not_found")
    assert ok(await api.post(f"{HOOKS}/{hook['id']}/{path}"))["redelivery_of"] == delivery_id


async def test_what_is_sent_to_a_webhook_that_is_being_removed_finds_none(
    api: Client, world: World, project: Tenant
) -> None:
    hook = await made(api)
    path = f"{HOOKS}/{hook['id']}"
    delivery_id = project.delivery(hook["id"])
    with world.doing("delete from webhooks where id = %s", hook["id"]):
        asking = [
            asyncio.create_task(api.post(f"{path}/{rest}")) for rest in ("test", f"deliveries/{delivery_id}/redeliver")
        ]
        await world.wait_for_us(len(asking))
    for answer in await asyncio.gather(*asking):
        error(answer, 404, "not_found")


async def test_what_is_switched_off_takes_no_test(api: Client) -> None:
    hook = await made(api, active=False)
    error(await api.post(f"{HOOKS}/{hook['id']}/test"), 409, "webhook_inactive")
