"""Walks from a server that is registered to a call that is approved, and from a link to a connection; served."""

import json
import re
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from playwright.async_api import expect

from tests.console.served import Window
from tests.fakes.mcp_server import Desk as Server, running_mcp_server
from tests.fakes.oauth_server import Service, running_oauth_server
from tests.fakes.registering_server import running_registering_server
from tests.world import until


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with running_mcp_server() as made:
        yield made


@pytest.fixture
def service() -> Iterator[Service]:
    with running_oauth_server() as made:
        yield made


async def test_a_server_is_registered_a_tool_gated_and_its_call_made_once_when_it_is_approved(
    window: Window, server: Server
) -> None:
    page = window.page
    await window.visitor.go(f"{window.root}/tools", "Tools")
    await page.get_by_role("button", name="Add a server").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name").fill("Orders")
    await dialog.get_by_label("Address").fill(server.url)
    await dialog.get_by_role("button", name="Add").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("A server's name is of a-z")
    await dialog.get_by_label("Name").fill("orders")
    await dialog.get_by_role("button", name="Add").click()
    await expect(page.get_by_role("heading", name="orders", level=1)).to_be_visible()
    await page.get_by_role("switch", name="Allow shout").click()
    await expect(page.get_by_role("switch", name="Allow shout")).not_to_be_checked()
    gate = page.get_by_role("switch", name="Have calls of look_up wait for a person")
    await gate.click()
    await expect(gate).to_be_checked()
    await expect(page.get_by_role("switch", name="Have calls of refund wait for a person")).to_be_disabled()
    assert await window.visitor.barriers() == []

    smith_id = await window.smith(model="test/tools", external_id="user-1")
    run_id = await window.start(smith_id, '[[call look_up {"order": "4711"}]] [[call shout {"letters": 1}]]')

    async def waits() -> bool:
        return await window.status(smith_id, run_id) == "paused_for_approval"

    await until(waits)
    await window.visitor.go(f"{window.root}/approvals", "Approvals")
    await expect(page.get_by_text("4711").first).to_be_visible()
    assert server.calls == []
    await page.get_by_role("button", name="Approve").first.click()
    await window.visitor.go(f"{window.root}/runs/{run_id}", "Run")
    await expect(page.get_by_text("on its way").last).to_be_visible()
    assert server.calls == [("look_up", "4711")]
    run = (await window.api.get(f"/v1/smiths/{smith_id}/runs/{run_id}")).json()
    assert "There is no tool shout." in run["output"]["content"]


async def test_we_register_by_ourselves_and_a_question_of_a_server_is_answered_on_the_page(
    window: Window, server: Server
) -> None:
    page = window.page
    async with running_registering_server() as office:
        await window.visitor.go(f"{window.root}/tools", "Tools")
        await page.get_by_role("button", name="Add a server").first.click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Name").fill("notes")
        await dialog.get_by_label("Address").fill(office.url)
        await dialog.get_by_label("What it is shown").select_option("registered")
        await dialog.get_by_role("button", name="Add").click()
        await expect(page.get_by_role("heading", name="notes", level=1)).to_be_visible()
        await expect(page.get_by_text("the person's account with mcp-notes")).to_be_visible()
        await window.visitor.go(f"{window.root}/tools", "Tools")
        await expect(page.get_by_role("region", name="Providers")).to_contain_text("registered by itself, for notes")
        await window.api.delete("/v1/tenant/mcp/notes")
    await page.get_by_role("button", name="Change the search service").click()
    await dialog.get_by_label("Who is asked").select_option("tavily")
    await dialog.get_by_label("Key").fill("the-key")
    await dialog.get_by_role("button", name="Keep").click()
    await expect(page.get_by_text("Tavily is asked, as this project chose.")).to_be_visible()
    assert await window.visitor.barriers() == []

    await window.api.put("/v1/tenant/mcp/shirts", json={"url": server.url})
    smith_id = await window.smith(model="test/tools", external_id="user-3", mcp_servers=["shirts"])
    run_id = await window.start(smith_id, "[[call order_shirt]]")
    await window.visitor.go(f"{window.root}/runs/{run_id}", "Run")
    await expect(page.get_by_text("Which size?")).to_be_visible(timeout=20_000)
    assert await window.visitor.barriers() == []
    await page.get_by_label("Size").fill("M")
    await page.get_by_role("button", name="Answer").click()
    await expect(page.get_by_text("a shirt of size M").last).to_be_visible(timeout=20_000)
    await page.get_by_role("button", name="Show what the model was told").click()
    await expect(page.get_by_text("calls order_shirt {}")).to_be_visible()
    await page.get_by_role("button", name="Replay").click()
    await expect(page).not_to_have_url(re.compile(run_id))
    await expect(page.get_by_text("calls order_shirt {}")).to_have_count(0)  # it was the other run's


async def test_a_person_is_connected_by_a_link_and_a_call_carries_their_token(
    window: Window, server: Server, service: Service
) -> None:
    page = window.page
    await window.visitor.go(f"{window.root}/tools", "Tools")
    await page.get_by_role("button", name="Add a service").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Service", exact=True).fill("acme")
    await dialog.get_by_label("Client id").fill("us")
    await dialog.get_by_label("Client secret").fill("our-s3cret")
    await dialog.get_by_label("What people are asked for").fill("openid email")
    await dialog.get_by_role("button", name="Keep").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("none of the known services")
    await dialog.get_by_label("Consent").fill(f"{service.address}/oauth2/authorize")
    await dialog.get_by_label("Tokens").fill(f"{service.address}/oauth2/token")
    await dialog.get_by_label("Taking back").fill(f"{service.address}/oauth2/revoke")
    await dialog.get_by_role("button", name="Keep").click()
    await expect(page.get_by_role("region", name="Providers")).to_contain_text("/v1/oauth/callback")

    server.bearer = "nobody's"
    auth = {"kind": "oauth", "provider": "acme"}
    await window.api.put("/v1/tenant/mcp/mine", json={"url": server.url, "auth": auth})
    smith_id = await window.smith(model="test/tools", external_id="user-2", mcp_servers=["mine"])
    await window.visitor.go(f"{window.root}/smiths/{smith_id}?tab=connections", "user-2")
    await page.get_by_role("button", name="Connect with acme").click()
    shown = page.locator("#consent-link .secret code")
    await expect(shown).to_contain_text(service.address)
    link = await shown.inner_text()
    await page.keyboard.press("Escape")
    async with httpx.AsyncClient() as person:
        back = await person.get(await service.consent(link), headers={"Accept": "text/html"})
    assert "Connected" in back.text
    await page.reload()
    await expect(page.get_by_role("region", name="Connections")).to_contain_text("active")
    assert await window.visitor.barriers() == []

    asked = {"input": [{"role": "user", "content": '[[call look_up {"order": "1"}]]'}]}
    server.bearer = token = service.given[-1]
    run = (await window.api.post(f"/v1/smiths/{smith_id}/runs", json=asked)).json()
    assert "on its way" in run["output"]["content"], json.dumps(run["warnings"])
    await page.get_by_role("button", name="Disconnect acme").click()
    await page.get_by_role("dialog").get_by_role("button", name="Disconnect").click()
    await expect(page.get_by_role("region", name="Connections")).to_contain_text("not connected")
    assert token in service.revoked
