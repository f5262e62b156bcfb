"""Hosted tools: what an agent's author can choose from."""

from tests.world import Client, ok


async def test_the_hosted_tools_are_listed_with_what_they_do(api: Client) -> None:
    listed = ok(await api.get("/v1/tenant/hosted_tools"))
    assert set(listed) == {"data"}
    assert {"calculator", "reasoning"} <= {tool["name"] for tool in listed["data"]}
    assert all(set(tool) == {"name", "title", "description"} for tool in listed["data"])
