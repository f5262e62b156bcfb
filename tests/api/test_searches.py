"""Searches: whom a project's smiths ask when they search the web, and what becomes of the key."""

from collections.abc import Iterator
from typing import Any

import pytest

from ingram_app.core.settings import settings
from ingram_app.domain import searches
from tests.fakes.http import Reply, Request, serving
from tests.world import Client, Tenant, World, error, ok

pytestmark = pytest.mark.usefixtures("private_addresses_allowed")
SEARCH = "/v1/tenant/search"
KEY = "tvly-not-for-anyone-s-eyes"


@pytest.fixture
def installed() -> Iterator[None]:
    """The installation has a service for everybody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IC_SEARCH_PROVIDER", "brave")
        patch.setenv("IC_SEARCH_API_KEY", "of-the-installation")
        settings.cache_clear()
        yield
    settings.cache_clear()


@pytest.fixture(autouse=True)
async def afresh(api: Client) -> None:
    await api.delete(SEARCH)


async def searches_the_web(api: Client) -> bool:
    tools = ok(await api.get("/v1/tenant/hosted_tools"))["data"]
    return bool({tool["name"]: tool["available"] for tool in tools}["web_search"])


async def test_a_project_brings_a_key_that_nobody_sees_again(world: World, api: Client, project: Tenant) -> None:
    assert ok(await api.get(SEARCH)) == {"provider": "none", "url": None, "source": "platform"}
    assert not await searches_the_web(api)
    answer = await api.put(SEARCH, json={"provider": "tavily", "api_key": KEY})
    assert ok(answer) == {"provider": "tavily", "url": None, "source": "project"}
    assert await searches_the_web(api)
    assert KEY not in answer.text + (await api.get(SEARCH)).text
    for table in ("searches", "audit"):
        assert KEY not in str(world.ask(f"select t::text from {table} t"))
    ok(await api.put(SEARCH, json={"provider": "tavily"}))
    engine = await searches.reach(project.id)
    assert engine is not None
    assert engine.key == KEY  # kept
    error(await api.put(SEARCH, json={"provider": "brave"}), 422, "search_key_required", "api_key")
    assert ok(await api.get(SEARCH))["provider"] == "tavily"


async def test_a_project_s_choice_goes_before_the_installation_s(
    installed: None, api: Client, project: Tenant, other: Tenant
) -> None:
    assert ok(await api.get(SEARCH)) == {"provider": "brave", "url": None, "source": "platform"}
    ok(await api.put(SEARCH, json={"provider": "none"}))
    assert not await searches_the_web(api)
    assert await searches.reach(project.id) is None
    theirs = await searches.reach(other.id)
    assert theirs is not None
    assert theirs.key == "of-the-installation"
    ok(await api.delete(SEARCH))
    assert await searches_the_web(api)
    error(await api.delete(SEARCH), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"provider": "tavily"}, "search_key_required", "api_key"),
        ({"provider": "searxng"}, "search_url_required", "url"),
        ({"provider": "searxng", "url": "ftp://x.example"}, "search_url_required", "url"),
        ({"provider": "searxng", "url": "https://a:b@x.example"}, "search_url_required", "url"),
        ({"provider": "brave", "api_key": "k", "url": "https://evil.example"}, "search_url_refused", "url"),
        ({"provider": "google", "api_key": "k"}, "schema_error", "provider"),
        ({"provider": "brave", "api_key": "k\r\nX-A: b"}, "schema_error", "api_key"),
    ],
)
async def test_what_makes_no_sense_is_told_where(api: Client, body: dict[str, Any], code: str, param: str) -> None:
    error(await api.put(SEARCH, json=body), 422, code, param)


async def test_a_smith_s_own_token_chooses_nothing(project: Tenant) -> None:
    person = await project.person()
    error(await person.api.put(SEARCH, json={"provider": "none"}), 403, "tenant_token_required")


async def test_smiths_ask_the_service_of_their_project_and_are_told_when_there_is_none(
    api: Client, project: Tenant
) -> None:
    asked: list[str] = []

    async def engine(request: Request, reply: Reply) -> None:
        asked.append(request.path)
        reply.json({"results": [{"title": "Graz", "url": "https://graz.example/", "content": "A town."}]})

    agent = await project.agent(model="test/tools", enabled_hosted_tools=["web_search"])
    smith = await project.smith(agent_id=agent["id"])
    said = '[[call web_search {"query": "Graz"}]]'
    async with serving(engine) as address:
        ok(await api.put(SEARCH, json={"provider": "searxng", "url": address}))
        run = await project.run(smith["id"], said)
    assert "https://graz.example/" in run["output"]["content"], run
    assert asked == ["/search?q=Graz&format=json"]
    ok(await api.put(SEARCH, json={"provider": "none"}))
    run = await project.run(smith["id"], said)
    assert "There is no tool web_search." in run["output"]["content"]
    [warning] = run["warnings"]
    assert warning["code"] == "hosted_tool_unavailable"
    assert "no search service" in warning["message"]
    assert asked == ["/search?q=Graz&format=json"]
