"""A walk along budgets, served: set, spent by runs, told of, used up, raised and taken off."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect

from tests.console.served import Window
from tests.fakes.model_server import running_model_server

MODEL = {"model": "gpt-5.4-mini", "model_settings": {"max_tokens": 20}}
"""Its price is known; the fake server speaks for it."""


@pytest.fixture
async def priced(window: Window) -> AsyncIterator[None]:
    async with running_model_server() as address:
        key = {"api_key": "sk-none", "base_url": f"{address}/v1"}
        assert (await window.api.put("/v1/tenant/model_keys/openai", json=key)).is_success
        yield


async def spend(window: Window, smith_id: str) -> int:
    """Have a smith answer; return the status of the answer."""
    asked = {"input": [{"role": "user", "content": "hello"}]}
    return (await window.api.post(f"/v1/smiths/{smith_id}/runs", json=asked)).status_code


async def test_a_budget_is_set_used_up_raised_and_taken_off(window: Window, priced: None) -> None:
    page = window.page
    smith_id = await window.smith(external_id="spender", **MODEL)
    await window.visitor.go(f"{window.root}/usage", "Usage & cost")
    await page.get_by_role("button", name="New budget").first.click()
    dialog = page.get_by_role("dialog", name="New budget")
    await expect(dialog.get_by_label("Which agent")).to_be_hidden()
    await dialog.get_by_label("Limit").fill("0")
    await dialog.get_by_label("When it is used up").select_option("block")
    await dialog.get_by_role("button", name="Create budget").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("greater than 0")
    await dialog.get_by_label("Limit").fill("0.0001")
    await dialog.get_by_role("button", name="Create budget").click()
    row = page.get_by_role("table", name="Budgets").get_by_role("row").nth(1)
    await expect(row).to_contain_text("$0.00 of $0.0001")
    await expect(row.locator(".badge")).to_have_text("active")
    while await spend(window, smith_id) < 300:
        pass
    assert await spend(window, smith_id) == 402
    events = (await window.api.get("/v1/events?type=budget.threshold")).json()["data"]
    assert [event["data"]["threshold"] for event in events] == [100, 80]
    await window.visitor.go(f"{window.root}/usage", "Usage & cost")
    await expect(row.locator(".badge")).to_have_text("used up")
    await row.get_by_role("button", name="Edit").click()
    await page.get_by_role("dialog").get_by_label("Limit").fill("5")
    await page.get_by_role("button", name="Save").click()
    await expect(row).to_contain_text("of $5.00")
    assert await spend(window, smith_id) < 300
    await row.get_by_role("link").click()
    await expect(page.get_by_role("heading", name="Model calls", level=1)).to_be_visible()
    await window.visitor.go(f"{window.root}/usage", "Usage & cost")
    await row.get_by_role("button", name="Take off").click()
    await page.get_by_role("dialog").get_by_role("button", name="Take it off").click()
    await expect(page.get_by_text("No budgets yet")).to_be_visible()


async def test_a_degraded_run_says_so(window: Window, priced: None) -> None:
    page = window.page
    agent = (
        await window.api.post("/v1/agents", json={"name": "Thrifty", "cheaper_model": "gpt-4.1-nano", **MODEL})
    ).json()
    await window.api.post(f"/v1/agents/{agent['id']}/versions")
    smith_id = await window.smith(agent_id=agent["id"], model=None)
    await window.visitor.go(f"{window.root}/usage", "Usage & cost")
    await page.get_by_role("button", name="New budget").first.click()
    dialog = page.get_by_role("dialog", name="New budget")
    await dialog.get_by_label("For").select_option("agent")
    await dialog.get_by_label("Which agent").select_option(label="Thrifty")
    await dialog.get_by_label("Limit").fill("0.00001")
    await dialog.get_by_label("When it is used up").select_option("degrade")
    await dialog.get_by_role("button", name="Create budget").click()
    await expect(page.get_by_role("table", name="Budgets")).to_contain_text("Agent Thrifty")
    assert await spend(window, smith_id) < 300
    assert await spend(window, smith_id) < 300
    run = (await window.api.get(f"/v1/smiths/{smith_id}/runs")).json()["data"][0]
    assert run["answered_by"] == "gpt-4.1-nano"
    await page.goto(f"{window.visitor.url}{window.root}/runs/{run['id']}")
    await expect(page.get_by_text("gpt-4.1-nano is asked, not gpt-5.4-mini.").first).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing(window: Window, theme: str) -> None:
    page = window.page
    await page.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    customer = (await window.api.post("/v1/customers", json={"name": f"Hotel {theme}"})).json()["id"]
    body = {"scope": "customer", "scope_id": customer, "limit": 3}
    await window.api.post("/v1/budgets", json=body)
    found = await window.barriers_on({f"{window.root}/usage": "Usage & cost"})
    for opener in ("New budget", "Edit", "Take off"):
        await page.get_by_role("button", name=opener).first.click()
        found += await window.visitor.barriers()
        await page.keyboard.press("Escape")
    assert found == []
