"""Hosted tools: what an agent's author can choose from."""

import pytest

from ingram_app.core.settings import settings
from tests.world import Client, ok


async def test_the_hosted_tools_are_listed_with_what_they_do(api: Client) -> None:
    listed = ok(await api.get("/v1/tenant/hosted_tools"))
    assert set(listed) == {"data"}
    assert {"calculator", "reasoning"} <= {tool["name"] for tool in listed["data"]}
    assert all(set(tool) == {"name", "title", "description", "available"} for tool in listed["data"])


async def test_a_search_of_the_web_is_there_once_there_is_somebody_to_ask(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def is_available() -> bool:
        tools = {tool["name"]: tool["available"] for tool in ok(await api.get("/v1/tenant/hosted_tools"))["data"]}
        assert all(there for name, there in tools.items() if name != "web_search")
        return bool(tools["web_search"])

    assert not await is_available()
    monkeypatch.setenv("IC_SEARCH_PROVIDER", "brave")
    settings.cache_clear()
    assert await is_available()
    monkeypatch.undo()
    settings.cache_clear()
