"""What holds for every route: the envelope of errors, ids, headers, versions, sizes."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import psycopg.errors
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from ingram_app.api import build
from ingram_app.api.gate import BODY_BYTES, RUN_BYTES
from ingram_app.core import database
from ingram_app.core.ids import ID
from ingram_app.core.settings import settings
from tests.api import routes
from tests.world import Client, Person, Tenant, World, error, ok

JSON = {"Content-Type": "application/json"}


async def test_a_body_that_is_not_sent_as_json_is_told_how(api: Client) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    told = error(await api.post("/v1/agents", content=b'{"name": "a"}', headers=headers), 422, "schema_error")
    assert "Content-Type: application/json" in told["message"]


async def test_a_body_without_a_type_is_taken_as_json(api: Client) -> None:
    ok(await api.post("/v1/agents", content=b'{"name": "a"}'))


async def test_brackets_in_strings_are_no_depth(api: Client) -> None:
    metadata = {"a": "[" * 500 + '\\"' + "{" * 500}
    assert ok(await api.post("/v1/smiths", json={"metadata": metadata}))["metadata"] == metadata


def deep(depth: int) -> bytes:
    return b'{"metadata": {"a": ' + b"[" * depth + b"]" * depth + b"}}"


async def test_an_unknown_path_is_answered_in_the_envelope(api: Client, nobody: Client) -> None:
    for client in (api, nobody):
        told = error(await client.get("/v1/nothing/here"), 404, "not_found", None)
        assert "/v1/nothing/here" in told["message"]


async def test_a_wrong_method_is_told_which_are_right(api: Client) -> None:
    answer = await api.put("/v1/agents")
    assert "GET, POST" in error(answer, 405, "method_not_allowed")["message"]
    assert answer.headers["allow"] == "GET, POST"


@pytest.mark.parametrize("path", ["/v1/agents/", "/v1//agents", "/v1/agents/../agents/", "/v1", "/v1/"])
async def test_a_path_is_spelt_one_way(api: Client, path: str) -> None:
    error(await api.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        (b"", None, "Field required"),
        (b"{", None, "not JSON"),
        (b"[]", "body", "dictionary"),
        (b"null", "body", "dictionary"),
        (b'{"name": ""}', "name", "at least 1 character"),
        (b'{"name": 7}', "name", "not 7"),
        (b'{"name": "a", "colour": "red"}', "colour", "no such field"),
        (b'{"name": "a", "client_tools": [{"name": "x y"}]}', "client_tools.0.name", "not 'x y'"),
        (b'{"name": "a", "model_settings": {"temperature": 9}}', "model_settings.temperature", "not 9"),
        (b'{"name": "\xff"}', None, "JSON in UTF-8"),
        (b"\xef\xbb\xbf{}", "name", "Field required"),
        (b'{"name": ' + b"1" * 5000 + b"}", None, "JSON in UTF-8"),
        (b"[" * 100_000, None, "deep"),
    ],
)
async def test_a_body_that_makes_no_sense_is_told_where(api: Client, body: bytes, param: str | None, said: str) -> None:
    told = error(await api.post("/v1/agents", content=body, headers=JSON), 422, "schema_error")
    assert said in told["message"]
    assert told["param"] == param or param is None


@pytest.mark.parametrize("field", ['"\\ud800"', '"a\\u0000b"', "1e999", "NaN", "-Infinity"])
async def test_what_can_not_be_stored_is_refused(api: Client, field: str) -> None:
    for body in (f'{{"metadata": {{"a": {field}}}}}', f'{{"metadata": {{"a": [[{field}]]}}}}'):
        error(await api.post("/v1/smiths", content=body.encode(), headers=JSON), 400, "invalid_input")


@pytest.mark.parametrize("name", ["a\\u0000b", "\\ud800", "\\udfff x"])
async def test_a_name_that_can_not_be_stored_is_refused(api: Client, name: str) -> None:
    for body in (f'{{"name": "{name}"}}', f'{{"name": "a", "{name}": 1}}'):
        answer = await api.post("/v1/agents", content=body.encode(), headers=JSON)
        assert error(answer, answer.status_code, answer.json()["error"]["code"])["code"] in (
            "invalid_input",
            "schema_error",
        )


@pytest.mark.parametrize("route", [route for route in routes.guarded() if route.ids], ids=str)
async def test_an_id_that_is_none_is_not_found(api: Client, organization_api: Client, route: routes.Route) -> None:
    client = organization_api if route.is_for_organizations else api
    for no_id in ("x", "smt_", "'; drop table runs; --", "%F0%9F%92%A9", "x" * 3000, "%2e%2e", "0"):
        path = re.sub(r"\{\w+_id\}", no_id, route.path).format(**routes.NAMES)
        error(await client.request(route.method, path, json=route.body), 404, "not_found")
    path = re.sub(r"\{\w+\}", "%00", route.path)
    assert (await client.request(route.method, path, json=route.body)).status_code in (400, 404, 422)


@pytest.mark.parametrize("depth", [60, 200, 500, 900, 5000, 300_000])
async def test_what_is_nested_too_deep_is_refused(api: Client, depth: int) -> None:
    answer = await api.post("/v1/smiths", content=deep(depth), headers=JSON)
    if depth < 64:
        assert ok(answer)["metadata"] == json.loads(deep(depth))["metadata"]
    else:
        assert "deep" in error(answer, 422, "schema_error")["message"]


async def test_huge_numbers_come_back_as_they_were(api: Client) -> None:
    metadata = {"big": 10**400, "small": -(10**30), "fine": 0.1, "letters": "ünïcödé 💩", "nothing": None}
    smith = ok(await api.post("/v1/smiths", content=json.dumps({"metadata": metadata}).encode(), headers=JSON))
    assert smith["metadata"] == metadata
    assert ok(await api.get(f"/v1/smiths/{smith['id']}"))["metadata"] == metadata


@pytest.mark.parametrize("number", [2**31, 2**63, 10**30, -(2**63)])
async def test_a_number_past_every_column_is_only_not_there(api: Client, project: Tenant, number: int) -> None:
    agent = await project.agent()
    path = f"/v1/agents/{agent['id']}"
    error(await api.get(f"{path}/versions/{number}"), 404, "not_found")
    error(await api.post(f"{path}/rollout", json={"version": number}), 422, "agent_unpublished", "version")
    error(await api.post(f"{path}/rollout", json={"version": 1, "percent": number}), 422, "invalid_percent", "percent")
    answer = await api.post("/v1/smiths", json={"agent_id": agent["id"], "pin": number})
    error(answer, 422, "invalid_pin" if number > 0 else "schema_error", "pin")


async def test_a_body_too_large_is_refused_unread(api: Client, nobody: Client) -> None:
    for client in (api, nobody):
        body = b" " * (BODY_BYTES + 1)
        error(await client.post("/v1/agents", content=body, headers=JSON), 413, "payload_too_large")


async def test_a_body_too_large_is_refused_when_its_length_was_not_told(api: Client) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 65536
            yield b" " * 65536

    error(await api.post("/v1/agents", content=endless(), headers=JSON), 413, "payload_too_large")
    assert read <= BODY_BYTES + RUN_BYTES + 2 * 65536, "what is dropped to let a client read its answer has a bound"


@pytest.mark.parametrize("length", ["²", "-1", "1" * 5000, "1e9"])
async def test_a_length_that_is_none_crashes_nothing(api: Client, length: str) -> None:
    headers = {"Content-Length": length.encode("latin-1"), **JSON}
    answer = await api.post("/v1/agents", content=b"{}", headers=headers)
    assert answer.status_code in (400, 413, 422), answer.text


async def test_a_crash_is_an_answer_too(world: World, api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("a secret of ours: sk-12345678")

    monkeypatch.setattr("ingram_app.domain.agents.browse", crash)
    told = error(await api.get("/v1/agents"), 500, "internal_error", None)
    assert told["type"] == "api_error"
    assert "secret" not in told["message"]


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (psycopg.errors.AdminShutdown("gone"), 503, "storage_unavailable"),
        (psycopg.errors.SerializationFailure("again"), 503, "storage_unavailable"),
        (psycopg.errors.UniqueViolation("twice"), 500, "internal_error"),
    ],
)
async def test_a_database_that_fails_is_told_from_a_mistake_of_ours(
    api: Client, monkeypatch: pytest.MonkeyPatch, failure: psycopg.Error, status: int, code: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise sa.exc.DBAPIError.instance("select 1", {}, failure, psycopg.Error)

    monkeypatch.setattr("ingram_app.domain.agents.browse", fail)
    answer = await api.get("/v1/agents")
    error(answer, status, code, None)
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_a_full_pool_is_unavailable_and_not_a_crash(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise sa.exc.TimeoutError("QueuePool limit")

    monkeypatch.setattr("ingram_app.domain.agents.browse", fail)
    answer = await api.get("/v1/agents")
    error(answer, 503, "service_overloaded", None)
    assert int(answer.headers["retry-after"]) > 0


async def test_every_answer_has_an_id_of_its_own(api: Client, nobody: Client) -> None:
    answers = [await api.get("/v1/agents"), await nobody.get("/v1/agents"), await nobody.get("/health")]
    answers.append(await api.get("/v1/agents", headers={"X-Request-Id": "mine"}))
    ids = [answer.headers.get_list("x-request-id") for answer in answers]
    assert len({found[0] for found in ids}) == 4
    assert all(len(found) == 1 and ID.fullmatch(found[0]) for found in ids)


@pytest.mark.parametrize("version", ["2026-05-01", None])
async def test_the_newest_version_is_meant_when_none_is_named(api: Client, version: str | None) -> None:
    ok(await api.get("/v1/agents", headers={"IC-Api-Version": version} if version else {}))


@pytest.mark.parametrize("version", ["", "2025-01-01", "2026-05-01 ", "x" * 5000])
async def test_another_version_is_refused(api: Client, nobody: Client, version: str) -> None:
    if version.strip() == "2026-05-01":
        return
    for client in (api, nobody):
        answer = await client.get("/v1/agents", headers={"IC-Api-Version": version})
        error(answer, 400, "unsupported_api_version", "IC-Api-Version")


async def test_too_many_runs_on_a_thread_are_told_when_to_come_again(api: Client, smith: Person) -> None:
    path = f"/v1/smiths/{smith.id}/runs"
    said = {"input": [{"role": "user", "content": "[[pause 60s]] wait"}], "thread_id": "full", "background": True}
    ok(await api.patch(f"/v1/smiths/{smith.id}", json={"model": "test/slow"}))
    made = [ok(await api.post(path, json=said)) for _ in range(21)]
    answer = await api.post(path, json=said)
    assert error(answer, 429, "concurrency_limit_exceeded")["type"] == "rate_limit_error"
    assert int(answer.headers["retry-after"]) > 0
    for run in reversed(made):
        ok(await api.post(f"{path}/{run['id']}/submit", json={"kind": "cancel"}))
    ok(await api.patch(f"/v1/smiths/{smith.id}", json={"model": None}))


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Basic dTpw", "tha_live_x", "Bearer x y", "Bearer tha_live_", "Bearer tha_live_a.b.c"],
)
async def test_what_is_no_token_is_unauthenticated(nobody: Client, authorization: str) -> None:
    answer = await nobody.get("/v1/agents", headers={"Authorization": authorization})
    error(answer, 401, "unauthenticated", None)
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_word_bearer_is_spelt_as_one_likes(project: Tenant, nobody: Client) -> None:
    ok(await nobody.get("/v1/agents", headers={"Authorization": f"bearer  {project.token}"}))


async def test_a_token_in_the_address_or_a_cookie_is_none(project: Tenant, nobody: Client) -> None:
    error(await nobody.get("/v1/agents", params={"access_token": project.token}), 401, "unauthenticated")
    answer = await nobody.get("/v1/agents", headers={"Cookie": f"authorization=Bearer {project.token}"})
    error(answer, 401, "unauthenticated")


async def test_ids_sort_by_age_and_have_one_form(api: Client) -> None:
    made = [ok(await api.post("/v1/smiths", json={}))["id"] for _ in range(5)]
    assert made == sorted(made)
    assert all(re.fullmatch(r"smt_[1-9A-HJ-NP-Za-km-z]{21,22}", one) for one in made)


async def test_times_are_in_utc(api: Client) -> None:
    assert ok(await api.post("/v1/smiths", json={}))["created_at"].endswith("Z")


async def test_health_needs_no_token_and_no_database(nobody: Client) -> None:
    assert ok(await nobody.get("/health")) == {"ok": True, "service": "ingram-cloud", "commit": None}


async def test_ready_asks_the_database(nobody: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ok(await nobody.get("/ready")) == {"ok": True, "service": "ingram-cloud", "checks": {"db": True}}

    def gone() -> None:
        raise ConnectionError

    monkeypatch.setattr(database, "pool", gone)
    answer = await nobody.get("/ready")
    assert (answer.status_code, answer.json()["checks"]) == (503, {"db": False})
    assert int(answer.headers["retry-after"]) > 0


async def test_a_process_that_is_older_than_its_database_says_so_instead_of_failing(world: World, api: Client) -> None:
    for change, back in (
        ("alter table searches rename column url to address", "alter table searches rename column address to url"),
        ("alter table searches rename to gone", "alter table gone rename to searches"),
    ):
        world.do(change)
        answer = await api.get("/v1/tenant/search")
        world.do(back)
        assert "newer version" in error(answer, 503, "storage_unavailable")["message"]
        assert int(answer.headers["retry-after"]) > 0
        ok(await api.get("/v1/tenant/search"))


@pytest.fixture
def metrics_token(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("IC_METRICS_TOKEN", "for-prometheus")
    settings.cache_clear()
    yield "for-prometheus"
    monkeypatch.undo()
    settings.cache_clear()


async def test_metrics_are_nobody_s_without_a_token_set(nobody: Client, api: Client) -> None:
    for client in (nobody, api):
        error(await client.get("/metrics"), 401, "unauthenticated")


async def test_metrics_are_for_their_bearer(nobody: Client, metrics_token: str) -> None:
    error(await nobody.get("/metrics", headers={"Authorization": "Bearer wrong"}), 401, "unauthenticated")
    shown = await nobody.get("/metrics", headers={"Authorization": f"Bearer {metrics_token}"})
    assert shown.headers["content-type"].startswith("text/plain")
    assert 'ingram_requests_total{method="GET",route="/health",status="200"}' in shown.text


async def test_nobody_can_fill_the_metrics_with_words(nobody: Client, metrics_token: str) -> None:
    for word in ("BREW", "WHEN", "x" * 100):
        await nobody.request(word, f"/v1/{word}")
    shown = await nobody.get("/metrics", headers={"Authorization": f"Bearer {metrics_token}"})
    assert "BREW" not in shown.text
    assert "xxx" not in shown.text


async def test_a_line_of_the_log_is_one_line_and_holds_no_secret(
    nobody: Client, project: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="ingram_app.api.gate"):
        await nobody.get("/v1/x%0a2026-01-01 [info] all is well", headers={"Authorization": f"Bearer {project.token}"})
    lines = [record.getMessage() for record in caplog.records if record.name == "ingram_app.api.gate"]
    assert len(lines) == 1
    assert "\n" not in lines[0]


async def test_a_header_can_not_be_smuggled_into_an_answer(api: Client) -> None:
    answer = await api.get("/v1/agents/%0d%0aSet-Cookie:%20a=b", headers={"IC-Api-Version": "2026-05-01"})
    assert "set-cookie" not in answer.headers
    answer = await api.put("/v1/agents/%0d%0aSet-Cookie:%20a=b")
    assert "set-cookie" not in answer.headers


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return routes.told()


async def test_the_schema_is_that_of_the_live_routes(nobody: Client, told: dict[str, Any]) -> None:
    shown = ok(await nobody.get("/openapi.json"))
    assert shown["openapi"].startswith("3.1")
    assert shown == told


def test_the_schema_tells_of_every_route_what_goes_wrong(told: dict[str, Any]) -> None:
    for path, methods in told["paths"].items():
        for method, route in methods.items():
            shape = route["responses"]["default"]["content"]["application/json"]["schema"]
            assert shape["$ref"].endswith("/ErrorOut"), (method, path)
            assert "422" not in route["responses"]
            assert route["description"].strip(), (method, path)


def test_every_operation_has_a_name_of_its_own(told: dict[str, Any]) -> None:
    names = [route["operationId"] for methods in told["paths"].values() for route in methods.values()]
    assert len(names) == len(set(names))


async def test_the_reference_shows_every_route_and_lets_no_script_in(nobody: Client, told: dict[str, Any]) -> None:
    page = await nobody.get("/docs")
    assert all(path in page.text for path in told["paths"])
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text


async def test_an_endless_wait_is_not_needed_to_be_refused(world: World) -> None:
    """A request whose body never comes is refused by its headers alone."""
    app: FastAPI = build()
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("nobody has to read the body of a stranger")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/agents", "raw_path": b"/v1/agents", "query_string": b"",
        "headers": [(b"content-length", b"1000")], "http_version": "1.1", "scheme": "http", "server": ("x", 80),
    }  # fmt: skip
    await app(scope, receive, send)
    assert sent[0]["status"] == 401


async def test_a_head_or_options_of_nobody_tells_nothing(nobody: Client) -> None:
    for method in ("HEAD", "OPTIONS", "TRACE"):
        answer: httpx.Response = await nobody.request(method, "/v1/agents")
        assert answer.status_code in (401, 405)
        assert "access-control-allow-origin" not in answer.headers
