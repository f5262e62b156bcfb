"""A walk through what a project spends, served: from a price to its runs on the chart, and away with the file."""

import csv
import io
import os
import re
from itertools import product

import pytest
from playwright.async_api import Locator, expect

from ingram_app.core.clock import now
from tests.console.served import Window


async def spend(window: Window, who: str, turns: int = 1) -> str:
    """Have a smith use something."""
    smith = await window.smith(external_id=who, model="test/echo")
    for _ in range(turns):
        said = {"input": [{"role": "user", "content": "one two three four"}]}
        assert (await window.api.post(f"/v1/smiths/{smith}/runs", json=said, timeout=60)).json()[
            "status"
        ] == "completed"
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
    await row.get_by_role("link", name="user-spends", exact=True).click()
    await expect(page).to_have_url(re.compile(rf"/smiths/{smith}$"))
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


async def figures(window: Window) -> dict[str, str]:
    """Return what the page of model calls says in sum, once it stands."""
    page = window.page
    await expect(page.get_by_role("heading", name="Model calls", level=1)).to_be_visible()
    await expect(page.locator(".cards > div")).not_to_have_count(0)
    names = await page.locator(".cards dt").all_inner_texts()
    return dict(zip(names, await page.locator(".cards dd").all_inner_texts(), strict=True))


async def added_up(window: Window, column: str) -> int:
    """Return the sum of a column of tokens."""
    table = window.page.get_by_role("table", name="Model calls")
    heads = await table.locator("thead th").all_inner_texts()
    cells = await table.locator(f"tbody td:nth-child({heads.index(column) + 1})").all_inner_texts()
    return sum(int(cell.replace(",", "")) for cell in cells)


async def follow(window: Window, place: Locator) -> dict[str, str]:
    """Click a figure, add up what it leads to, find the same after a reload, and come back."""
    page, said = window.page, (await place.inner_text()).strip()
    await place.click()
    await expect(page).to_have_url(re.compile(r"/calls\?"))
    told = await figures(window)
    assert said in told.values(), (said, told)
    if "Tokens" in told:
        tokens = await added_up(window, "Input") + await added_up(window, "Output")
        assert f"{tokens:,}" == told["Tokens"], page.url
    else:
        rows = page.get_by_role("table", name="Model calls").locator("tbody tr")
        assert f"{await rows.count():,}" == told["Runs"], page.url
    await page.reload()
    assert await figures(window) == told
    await page.go_back()
    await expect(page.get_by_role("heading", name="Model calls", level=1)).to_have_count(0)
    return told


async def test_every_figure_leads_to_the_calls_that_add_up_to_it(window: Window) -> None:
    page = window.page
    for model in ("echo", "slow"):
        await window.api.put(f"/v1/tenant/prices/test/{model}", json={"input": 10**9, "output": 10**9})
    customer = (await window.api.post("/v1/customers", json={"name": "Hotel Post"})).json()["id"]
    agent = {"name": "Falls back", "model": "test/fail", "fallback_models": ["test/echo"]}
    agent_id = (await window.api.post("/v1/agents", json=agent)).json()["id"]
    assert (await window.api.post(f"/v1/agents/{agent_id}/versions")).is_success
    fell = {"external_id": "user-fell", "agent_id": agent_id, "customer_id": customer}
    smith = (await window.api.post("/v1/smiths", json=fell)).json()["id"]
    said = {"input": [{"role": "user", "content": "one two three"}]}
    run = (await window.api.post(f"/v1/smiths/{smith}/runs", json=said, timeout=60)).json()
    assert (run["answered_by"], run["status"]) == ("test/echo", "completed")
    gone = await spend(window, "user-gone", 2)
    assert (await window.api.post(f"/v1/smiths/{gone}/erase")).is_success
    await window.api.post("/v1/budgets", json={"scope": "customer", "scope_id": customer, "limit": 9, "action": "warn"})
    await window.visitor.go(f"{window.root}/usage", "Usage & cost")
    for card in range(4):
        await follow(window, page.locator(".cards .figure a").nth(card))
    for table, name in (("Smiths", "user-fell"), ("Smiths", "Erased smiths"), ("Agents", "Falls back"),
                        ("Models", "test/echo"), ("Apps", "api")):  # fmt: skip
        row = page.get_by_role("table", name=f"{table} by cost").get_by_role("row", name=name)
        for what in ("runs", "tokens", "cost"):
            await follow(window, row.get_by_role("link", name=f"{what} {name}"))
    await follow(window, page.locator(".legend a").first)
    await page.get_by_text("The same as a table").click()
    day = page.get_by_role("table", name="Cost by day").locator("tr", has=page.get_by_text(f"{now():%Y-%m-%d}"))
    for place in (0, 1):
        if not await day.is_visible():
            await page.get_by_text("The same as a table").click()
        await follow(window, day.get_by_role("link").nth(place))
    await follow(window, page.get_by_role("table", name="Budgets").get_by_role("link", name="what it was spent on"))
    await window.visitor.go(f"{window.root}/customers", "Customers")
    row = page.get_by_role("table", name="Customers").get_by_role("row", name="Hotel Post")
    for what in ("runs", "tokens", "cost"):
        await follow(window, row.get_by_role("link", name=f"{what} Hotel Post"))
    await follow(window, page.locator(".facts a"))
    await row.get_by_role("link", name="Hotel Post", exact=True).click()
    await follow(window, page.get_by_role("table", name="Statement").get_by_role("link", name="in all"))
    await follow(window, page.get_by_role("table", name="Statement").get_by_role("link", name="1 Runs", exact=True))
    await window.visitor.go(f"{window.root}/calls?customer={customer}&model=test/echo", "Model calls")
    await expect(page.get_by_role("link", name="Customer: Hotel Post")).to_be_visible()
    await page.get_by_role("link", name="Model: test/echo").click()
    await page.get_by_role("link", name="Customer: Hotel Post").click()
    erased = page.get_by_role("row", name="an erased smith").first
    await expect(erased).to_contain_text(f"{now():%-d %B %Y}")
    await expect(erased.get_by_role("link")).to_have_count(0)
    await page.get_by_role("link", name=f"Run {run['id']}").click()
    await expect(page).to_have_url(re.compile(f"/runs/{run['id']}$"))


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing(window: Window, theme: str) -> None:
    await window.page.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    for model in ("echo", "slow"):
        await window.api.put(f"/v1/tenant/prices/test/{model}", json={"input": 10**9, "output": 10**9})
    smith = await window.smith(external_id="user-slow")
    await window.api.post(f"/v1/smiths/{smith}/runs", json={"input": [{"role": "user", "content": "one two"}]})
    await spend(window, "user-echo")
    assert (
        await window.barriers_on(
            {
                f"{window.root}/usage": "Usage & cost",
                f"{window.root}/calls?from=2020-01-01&to=2022-01-01": "Model calls",
                f"{window.root}/calls?smith={smith}&model=!none": "Model calls",
                f"{window.root}/settings/models": "Models",
            }
        )
        == []
    )
    if where := os.environ.get("SHOTS"):
        looked_at = {"usage": "Usage & cost", f"calls?app=api&from={now():%Y-%m-%d}": "Model calls"}
        for width, (path, heading) in product((1280, 390), looked_at.items()):
            await window.page.set_viewport_size({"width": width, "height": 900})
            await window.visitor.go(f"{window.root}/{path}", heading)
            await expect(window.page.locator(".skeleton")).to_have_count(0)
            await window.page.screenshot(path=f"{where}/{path[:5]}-{theme}-{width}.png", full_page=True)
