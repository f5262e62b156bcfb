"""Models and their keys: what can be reached, and whose key is shown to whom."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest

from ingram_app.core.settings import settings
from tests.api.routes import RUN
from tests.fakes.model_server import running_model_server
from tests.world import Client, Person, Tenant, World, error, ok

KEYS = "/v1/tenant/model_keys"


@pytest.fixture(scope="module", autouse=True)
def environment(world: World) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IC_ALLOW_PRIVATE_ADDRESSES", "true")
        patch.setenv("IC_GOOGLE_API_KEY", "k-of-the-platform")
        settings.cache_clear()
        yield
    settings.cache_clear()


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[str]:
    """The base URL of a provider that answers, and remembers who asked."""
    async with running_model_server() as address:
        yield f"{address}/v1"


async def shown_key(provider: str) -> str:
    """Return the key that the provider saw last."""
    async with httpx2.AsyncClient() as client:
        seen = (await client.get(provider.replace("/v1", "/_seen"))).json()
    return str(seen["last"]["headers"]["authorization"].removeprefix("Bearer "))


@pytest.fixture
async def person(project: Tenant) -> AsyncIterator[Person]:
    """A smith on a model that needs a key; the keys are gone afterwards."""
    yield await project.person(model="gpt-5.2")
    await project.api.delete(f"{KEYS}/openai")


async def model(api: Client, model_id: str) -> dict[str, Any]:
    (found,) = [one for one in ok(await api.get("/v1/tenant/models"))["data"] if one["id"] == model_id]
    return dict(found)


async def first_of(api: Client, provider: str) -> dict[str, Any]:
    return next(one for one in ok(await api.get("/v1/tenant/models"))["data"] if one["provider"] == provider)


async def test_a_key_is_never_shown_again(api: Client, project: Tenant) -> None:
    secret = "sk-never-shown-again"
    smith = await project.smith()
    for path in (KEYS, f"/v1/smiths/{smith['id']}/model_keys"):
        put = await api.put(f"{path}/anthropic", json={"api_key": secret})
        assert set(ok(put)) == {"provider", "base_url", "created_at", "updated_at"}
        listed = await api.get(path)
        assert [one["provider"] for one in ok(listed)["data"]] == ["anthropic"]
        assert secret not in put.text + listed.text
        assert (await api.delete(f"{path}/anthropic")).status_code == 204
        error(await api.delete(f"{path}/anthropic"), 404, "not_found")
        assert ok(await api.get(path))["data"] == []


async def test_a_key_put_again_takes_the_place_of_the_first(api: Client) -> None:
    first = ok(await api.put(f"{KEYS}/anthropic", json={"api_key": "k-1"}))
    second = ok(await api.put(f"{KEYS}/anthropic", json={"api_key": "k-2"}))
    assert second["created_at"] == first["created_at"]
    assert second["updated_at"] > first["updated_at"]
    ok(await api.delete(f"{KEYS}/anthropic"))


async def test_racing_puts_keep_one_key(api: Client, world: World) -> None:
    answers = await asyncio.gather(*[api.put(f"{KEYS}/anthropic", json={"api_key": f"k-{n}"}) for n in range(8)])
    assert all(answer.is_success for answer in answers)
    assert world.ask("select count(*) from model_keys where provider = 'anthropic'") == [(1,)]
    ok(await api.delete(f"{KEYS}/anthropic"))


@pytest.mark.parametrize(
    ("provider", "body", "code", "param"),
    [
        ("test", {"api_key": "k"}, "unsupported_provider", "provider"),
        ("local", {"api_key": "k"}, "unsupported_provider", "provider"),
        ("my-own", {"api_key": "k"}, "base_url_required", "base_url"),
        ("openai", {"api_key": ""}, "schema_error", "api_key"),
        ("openai", {}, "schema_error", "api_key"),
        ("openai", {"api_key": "k" * 4001}, "schema_error", "api_key"),
        ("openai", {"api_key": "sk-1\r\nX-Other: header"}, "schema_error", "api_key"),
        ("openai", {"api_key": "sk-ключ"}, "schema_error", "api_key"),
        ("openai", {"api_key": "k", "base_url": "ftp://x"}, "schema_error", "base_url"),
        ("openai", {"api_key": "k", "base_url": "not a url"}, "schema_error", "base_url"),
        ("Open AI", {"api_key": "k"}, "schema_error", "provider"),
        ("x" * 64, {"api_key": "k"}, "schema_error", "provider"),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused(
    api: Client, provider: str, body: dict[str, Any], code: str, param: str
) -> None:
    told = error(await api.put(f"{KEYS}/{provider}", json=body), 422, code, param)
    assert "Other" not in told["message"]
    assert "kkkkk" not in told["message"]


async def test_what_is_copied_with_a_line_break_is_the_key(api: Client, person: Person, provider: str) -> None:
    ok(await api.put(f"{KEYS}/openai", json={"api_key": "  sk-copied\n", "base_url": provider}))
    ok(await person.api.post(f"/v1/smiths/{person.id}/runs", json=RUN))
    assert await shown_key(provider) == "sk-copied"


async def test_a_run_shows_the_smith_s_key_before_the_project_s(
    api: Client, project: Tenant, person: Person, provider: str
) -> None:
    mine = f"/v1/smiths/{person.id}/model_keys/openai"
    ok(await api.put(f"{KEYS}/openai", json={"api_key": "sk-project", "base_url": provider}))
    ok(await person.api.put(mine, json={"api_key": "sk-smith", "base_url": provider}))
    ok(await person.api.post(f"/v1/smiths/{person.id}/runs", json=RUN))
    assert await shown_key(provider) == "sk-smith"
    ok(await person.api.delete(mine))
    ok(await person.api.post(f"/v1/smiths/{person.id}/runs", json=RUN))
    assert await shown_key(provider) == "sk-project"


async def test_no_smith_shows_another_s_key(api: Client, project: Tenant, person: Person, provider: str) -> None:
    sibling = await project.person(model="gpt-5.2")
    body = {"api_key": "sk-sibling", "base_url": provider}
    ok(await sibling.api.put(f"/v1/smiths/{sibling.id}/model_keys/openai", json=body))
    error(await person.api.post(f"/v1/smiths/{person.id}/runs", json=RUN), 422, "model_key_missing")


async def test_a_key_that_is_refused_does_not_fall_back(
    api: Client, project: Tenant, person: Person, provider: str
) -> None:
    refusing = await project.person(model="openai/fail=401")
    ok(await api.put(f"{KEYS}/openai", json={"api_key": "sk-project", "base_url": provider}))
    body = {"api_key": "sk-refused", "base_url": provider}
    ok(await refusing.api.put(f"/v1/smiths/{refusing.id}/model_keys/openai", json=body))
    run = ok(await refusing.api.post(f"/v1/smiths/{refusing.id}/runs", json=RUN))
    assert (run["status"], run["error"]["code"], run["output"]) == ("failed", "model_key_refused", None)
    assert await shown_key(provider) == "sk-refused"
    assert "sk-refused" not in json.dumps(run)


async def test_a_missing_key_is_told_before_there_is_a_run(world: World, person: Person) -> None:
    before = world.ask("select count(*) from runs")
    for more in ({}, {"stream": True}, {"background": True}):
        answer = await person.api.post(f"/v1/smiths/{person.id}/runs", json=RUN | more)
        told = error(answer, 422, "model_key_missing", "model")
        assert "openai" in told["message"]
    assert world.ask("select count(*) from runs") == before


async def test_a_model_of_no_provider_is_told_before_there_is_a_run(world: World, project: Tenant) -> None:
    smith = await project.smith(model="what is this")
    before = world.ask("select count(*) from runs")
    error(await project.api.post(f"/v1/smiths/{smith['id']}/runs", json=RUN), 422, "unknown_provider", "model")
    assert world.ask("select count(*) from runs") == before


async def test_an_endpoint_of_one_s_own_is_a_provider(api: Client, project: Tenant, provider: str) -> None:
    ok(await api.put(f"{KEYS}/my-own", json={"api_key": "sk-own", "base_url": provider}))
    smith = await project.smith(model="my-own/some-model")
    assert (await project.run(smith["id"]))["status"] == "completed"
    assert await shown_key(provider) == "sk-own"
    assert "my-own" in [one["id"] for one in ok(await api.get("/v1/tenant/models"))["providers"]]
    ok(await api.delete(f"{KEYS}/my-own"))


async def test_the_catalog_says_what_can_be_reached_and_with_whose_key(api: Client, person: Person) -> None:
    catalog = ok(await api.get("/v1/tenant/models"))
    assert set(catalog) == {"data", "providers"}
    assert {frozenset(one) for one in catalog["data"]} == {
        frozenset({"id", "provider", "label", "available", "source"})
    }
    assert {frozenset(one) for one in catalog["providers"]} == {frozenset({"id", "label", "base_url", "hosted"})}
    assert (await model(api, "test/echo"))["source"] == "local"
    assert (await model(api, "local/smollm2-135m"))["available"]
    unreached, hosted = await first_of(api, "openai"), await first_of(api, "google")
    assert (unreached["available"], unreached["source"]) == (False, None)
    assert (hosted["available"], hosted["source"]) == (True, "hosted")
    ok(await api.put(f"{KEYS}/openai", json={"api_key": "sk-1"}))
    assert (await first_of(api, "openai"))["source"] == "byok"
    assert (await first_of(person.api, "openai"))["source"] == "byok"
    ok(await person.api.put(f"/v1/smiths/{person.id}/model_keys/openai", json={"api_key": "sk-1"}))
    assert (await first_of(person.api, "openai"))["source"] == "smith"
    assert (await first_of(api, "openai"))["source"] == "byok"


async def test_keys_of_another_project_make_nothing_available(api: Client, other_api: Client, person: Person) -> None:
    ok(await api.put(f"{KEYS}/openai", json={"api_key": "sk-1"}))
    assert not (await first_of(other_api, "openai"))["available"]
