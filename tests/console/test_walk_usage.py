"""A walk through what a project spends, served: from a price to its runs on the chart, and away with the file."""

import csv
import io
import os
import re

import pytest
from playwright.async_api import expect

from tests.console.served import Window


async def spend(window: Window, who: str, turns: int = 1) -> str:
    """Have a smith use something."""
    smith = await window.smith(external_id=who, model="test/echo")
    for _ in range(turns):
        said = {"input": [{"role": "user", "content": "one two three four"}]}
        assert (await window.api.post(f"/v1/smiths/{smith}/runs", json=said)).json()["status"] == "completed"
    return smith


async def test_a_price_is_set_spent_at_watched_and_taken_away(window: Window) -> None:
    page = window.page
    await window.visitor.go(f"{window.root}/settings/models", "Models")
    await page.get_by_role("button", name="Set a price").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Model", exact=True).fill("test/echo")
    await dialog.get_by_label("Input").fill("much")
    await dialog.get_by_label("Output").fill("5000.5")
    await page.get_by_role("button", name="Set the price").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("It looks like 2.50")
    await dialog.get_by_label("Input").fill("2000")
    await page.get_by_role("button", name="Set the price").click()
    await expect(page.get_by_role("table", name="Prices").get_by_role("row", name="test/echo")).to_contain_text(
        "$2,000.00"
    )
    smith = await spend(window, "user-spends", 3)
    await page.get_by_role("link", name="Usage & cost").click()
    await expect(page.get_by_role("heading", name="Usage & cost", level=1)).to_be_visible()
    cost = page.locator(".cards .figure").first
    told = (await window.api.get("/v1/usage?group_by=smith")).json()
    await expect(cost).to_have_text(f"${told['totals']['cost'] / 1_000_000:,.2f}")
    await expect(page.locator(".cards")).to_contain_text("nothing in the period before")
    row = page.get_by_role("table", name="Smiths by cost").get_by_role("row", name="user-spends")
    await expect(row).to_contain_text("100 %")
    await expect(page.locator(".bar .part")).to_have_count(1)
    await spend(window, "user-later")
    told = (await window.api.get("/v1/usage?group_by=smith")).json()
    await expect(cost).to_have_text(f"${told['totals']['cost'] / 1_000_000:,.2f}")
    await page.get_by_text("The same as a table").click()
    await expect(page.get_by_role("table", name="Cost by day")).to_contain_text("test/echo")
    async with page.expect_download() as waiting:
        await page.get_by_role("button", name="Export CSV").click()
    text = (await (await waiting.value).path()).read_text()
    assert sum(int(one["cost"]) for one in csv.DictReader(io.StringIO(text))) == told["totals"]["cost"] > 0
    await row.get_by_role("link").click()
    await expect(page).to_have_url(re.compile(rf"/runs\?smith={smith}$"))
    await expect(page.locator("tr[data-row]")).to_have_count(3)
    await page.go_back()
    await page.get_by_label("Period").select_option(label="Last 7 days")
    await expect(page).to_have_url(re.compile(r"period=7d"))
    await expect(page.locator(".bars > div")).to_have_count(7)
    await expect(cost).to_have_text(f"${told['totals']['cost'] / 1_000_000:,.2f}")
    await window.visitor.go(f"{window.root}/usage?period=2020-02", "Usage & cost")
    await expect(page.get_by_text("February 2020")).to_be_visible()
    await expect(cost).to_have_text("$0.00")
    await window.visitor.go(f"{window.root}/settings/models", "Models")
    await page.get_by_role("button", name="Remove the price of test/echo").click()
    await page.get_by_role("dialog").get_by_role("button", name="Remove the price").click()
    await expect(page.get_by_text("Every model costs what the price list says.")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing(window: Window, theme: str) -> None:
    await window.page.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    for model in ("echo", "slow"):
        await window.api.put(f"/v1/tenant/prices/test/{model}", json={"input": 10**9, "output": 10**9})
    smith = await window.smith(external_id="user-slow")
    await window.api.post(f"/v1/smiths/{smith}/runs", json={"input": [{"role": "user", "content": "one two"}]})
    await spend(window, "user-echo")
    assert (
        await window.barriers_on({f"{window.root}/usage": "Usage & cost", f"{window.root}/settings/models": "Models"})
        == []
    )
    if where := os.environ.get("SHOTS"):
        await window.visitor.go(f"{window.root}/usage", "Usage & cost")
        await expect(window.page.locator(".skeleton")).to_have_count(0)
        for width in (1280, 390):
            await window.page.set_viewport_size({"width": width, "height": 900})
            await window.page.screenshot(path=f"{where}/usage-{theme}-{width}.png", full_page=True)
