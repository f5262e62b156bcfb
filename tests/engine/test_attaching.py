"""Attaching: what a provider is sent of pictures and files, and what it is only told of."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from pydantic_ai.messages import BinaryContent, ImageUrl, ModelRequest, UserPromptPart

from ingram_app.core.settings import settings
from ingram_app.domain.runs import Run
from ingram_app.engine import attaching, wording
from ingram_app.gateways.providers import PROVIDERS
from tests.engine.conftest import World
from tests.fakes.model_server import running_model_server
from tests.pictures import file, image, png

pytestmark = pytest.mark.usefixtures("working")


@pytest.fixture
async def server(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.setenv("IC_ALLOW_PRIVATE_ADDRESSES", "true")
    settings.cache_clear()
    async with running_model_server() as address:
        for provider in ("openai", "anthropic"):
            await world.key(provider, f"{address}/v1")
        yield address
    monkeypatch.undo()
    settings.cache_clear()


async def sent(server: str) -> Any:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{server}/_seen")).json()["last"]["body"]["messages"]


async def show(world: World, smith_id: str, *parts: dict[str, Any]) -> Run:
    text = {"type": "text", "text": "look"}
    return await world.ended(await world.start_with(smith_id, [{"role": "user", "content": [text, *parts]}], "t"))


async def test_openai_is_sent_the_bytes_in_this_turn_and_in_the_next(world: World, server: str) -> None:
    smith_id = await world.smith("gpt-5.4-mini")
    whole = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(png()).decode()}"}}
    away = {"type": "image_url", "image_url": {"url": "https://example.com/a"}}
    await show(world, smith_id, image(png()), {"type": "image", "url": "https://example.com/a"})
    assert (await sent(server))[0]["content"] == [{"type": "text", "text": "look"}, whole, away]
    await world.says(smith_id, "and now", thread_id="t")
    assert (await sent(server))[0]["content"] == [{"type": "text", "text": "look"}, whole, away]


async def test_a_file_goes_under_its_name(world: World, server: str) -> None:
    await show(world, await world.smith("gpt-5.4-mini"), file(b"a,b", "text/csv", filename="table.csv"))
    assert (await sent(server))[0]["content"][1] == {"type": "text", "text": "File table.csv:\na,b"}


async def test_what_a_provider_says_of_a_picture_is_passed_on(world: World, server: str) -> None:
    run = await show(world, await world.smith("gpt-5.4-mini"), image(png()), {"type": "text", "text": "fail=400"})
    assert run.error["code"] == "model_request_refused"


async def test_a_model_that_can_be_sent_none_is_told_of_it_and_the_run_says_so(world: World) -> None:
    smith_id = await world.smith("local/none")
    run = await show(world, smith_id, image(png()))
    assert [warning["code"] for warning in run.warnings] == ["attachment_not_sent"]


def test_an_address_is_only_told_where_it_would_be_fetched_from_here() -> None:
    url = ImageUrl("https://example.com/a", media_type="image/jpeg")
    messages = [ModelRequest(parts=[UserPromptPart(["look", url, BinaryContent(b"x", media_type="image/png")])])]
    for provider_id in ("openai", "anthropic", "test"):
        assert attaching.suited(messages, PROVIDERS[provider_id]) == (messages, False)
    [told], changed = attaching.suited(messages, PROVIDERS["google"])
    assert changed
    first, worded, kept = told.parts[0].content
    assert (first, kept.data) == ("look", b"x")
    assert "https://example.com/a" in worded
    [told], _ = attaching.suited(messages, PROVIDERS["local"])
    assert all(isinstance(item, str) for item in told.parts[0].content)


async def test_a_picture_that_has_gone_meanwhile_is_told_as_gone(world: World, server: str) -> None:
    smith_id = await world.smith("gpt-5.4-mini")
    await show(world, smith_id, image(png()))
    await world.sql("delete from attachments where smith_id = :id", id=smith_id)
    run = await world.says(smith_id, "and now", thread_id="t")
    assert run.status == "completed"
    assert (await sent(server))[0]["content"][1]["text"] == "[A image/png that is no longer there.]"


def test_pictures_and_files_are_counted_without_their_bytes() -> None:
    pdf = {"type": "file", "media_type": "application/pdf", "bytes": 600_000, "sha256": "0" * 64}
    content = attaching.of_content([pdf, {"type": "image", "url": "https://example.com/a"}])
    assert 10_000 < wording.tokens_of([ModelRequest(parts=[UserPromptPart(content)])]) < 20_000
