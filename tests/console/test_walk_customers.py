"""A walk through Revenue: a customer is made, its smith works, its month is charged for, and Stripe is told."""

import csv
import io
import os
import re

import psycopg
import pytest
from playwright.async_api import expect

from ingram_app.core.cluster import Cluster
from tests.console.served import Console, Window
from tests.fakes.stripe_server import KEY


def priced(console: Console, pages: dict[str, str]) -> None:
    """Let the test model cost something in the walk's project."""
    with Cluster(console.serving.data / "postgres").running() as url, psycopg.connect(url, autocommit=True) as owner:
        price = '{"test/echo": {"input": 3000000, "output": 5000000}}'
        owner.execute("update projects set own_prices = %s where id = %s", (price, pages["project_id"]))


async def looked_at(window: Window, name: str) -> None:
    """Take pictures of the page, where somebody wants them."""
    if not (folder := os.environ.get("PICTURES")):
        return
    for width in (1280, 390):
        await window.page.set_viewport_size({"width": width, "height": 900})
        for theme in ("light", "dark"):
            await window.page.emulate_media(color_scheme=theme)
            await window.page.screenshot(path=f"{folder}/{name}-{width}-{theme}.png", full_page=True)
    await window.page.emulate_media(color_scheme="light")
    await window.page.set_viewport_size({"width": 1280, "height": 800})


async def test_what_a_customer_uses_is_charged_and_told_to_stripe(
    console: Console, pages: dict[str, str], window: Window
) -> None:
    page = window.page
    priced(console, pages)
    await window.visitor.go(f"{window.root}/settings/stripe", "Stripe")
    await page.get_by_role("button", name="Connect Stripe").click()
    dialog = page.get_by_role("dialog", name="Your key at Stripe")
    await dialog.get_by_label("Secret or restricted key").fill("pk_live_nothing_secret")
    await dialog.get_by_role("button", name="Keep the key").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("no secret key of Stripe")
    await dialog.get_by_label("Secret or restricted key").fill(KEY)
    await dialog.get_by_role("button", name="Keep the key").click()
    await expect(page.get_by_text("told as ingram_input_tokens")).to_be_visible()
    await looked_at(window, "stripe")
    await window.visitor.go(f"{window.root}/rates", "Rates")
    await page.get_by_label("Model calls, in percent").fill("200")
    await page.get_by_label("Meters").fill("pages 0.02")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved.")).to_be_visible()
    await looked_at(window, "rates")
    smith = (await window.api.post("/v1/smiths", json={"external_id": "guest-1", "model": "test/echo"})).json()["id"]
    await window.visitor.go(f"{window.root}/customers", "Customers")
    await page.get_by_role("button", name="New customer").first.click()
    dialog = page.get_by_role("dialog", name="New customer")
    await dialog.get_by_label("Name").fill("Hotel Post")
    await dialog.get_by_label("Stripe customer").fill("cus_1")
    await dialog.get_by_role("button", name="Create customer").click()
    await expect(page.get_by_role("heading", name="Hotel Post", level=1)).to_be_visible()
    customer = re.search(r"customers/(cus_\w+)", page.url)
    assert customer
    await page.get_by_role("link", name="Smiths", exact=True).last.click()
    await page.get_by_role("button", name="Assign a smith").click()
    dialog = page.get_by_role("dialog", name="Assign a smith")
    await dialog.get_by_label("Smith").fill("guest-2")
    await dialog.get_by_role("button", name="Assign").click()
    await expect(dialog.get_by_role("alert")).to_have_text("There is no smith of the external id guest-2.")
    await dialog.get_by_label("Smith").fill("guest-1")
    await dialog.get_by_role("button", name="Assign").click()
    await expect(page.locator("tr[data-row]")).to_contain_text("guest-1")
    await looked_at(window, "customer-smiths")
    for said in ("one two three", "four"):
        asked = {"input": [{"role": "user", "content": said}]}
        assert (await window.api.post(f"/v1/smiths/{smith}/runs", json=asked)).json()["status"] == "completed"
    counted = {"smith_id": smith, "meter": "pages", "quantity": 2.5, "idempotency_key": "walk"}
    assert (await window.api.post("/v1/usage/events", json=counted)).status_code == 201
    told = (await window.api.get(f"/v1/customers/{customer[1]}/statement")).json()
    assert told["margin_micros"] == told["cost_micros"] + 50_000 > 50_000
    await window.visitor.go(f"{window.root}/customers/{customer[1]}", "Hotel Post")
    lines = page.locator("table[aria-label=Statement] tbody tr")
    await expect(lines).to_have_count(3)
    await expect(lines.first).to_contain_text("200 % of the cost")
    await expect(lines.last).to_contain_text(re.compile(r"pages\s*2\.5\s*\$0\.02\s*–\s*\$0\.05"))
    assert await window.visitor.barriers() == []
    await looked_at(window, "customer")
    async with page.expect_download() as waiting:
        await page.get_by_role("button", name="Export CSV").click()
    text = (await (await waiting.value).path()).read_text()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert sum(int(row["price_micros"]) for row in rows) == told["price_micros"]
    await page.get_by_role("link", name="Stripe", exact=True).last.click()
    push = page.locator("table[aria-label='Told to Stripe'] tbody tr", has_text="pages")
    await expect(push.locator(".badge")).to_have_text("sent")
    assert str(console.stripe.total("pages")) == "2.5"
    await looked_at(window, "customer-stripe")
    await window.visitor.go(f"{window.root}/customers", "Customers")
    row = page.locator("tr[data-row]", has_text="Hotel Post")
    await expect(row).to_contain_text("$0.05")
    await looked_at(window, "customers")
    await row.get_by_role("link").first.click()
    await page.get_by_role("button", name="Archive").click()
    dialog = page.get_by_role("dialog", name="Archive this customer")
    await expect(dialog).to_contain_text("1 smith will be assigned to nobody")
    await dialog.get_by_label("to confirm").fill("Hotel Post")
    await dialog.get_by_role("button", name="Archive").click()
    await expect(page.get_by_role("heading", name="Customers", level=1)).to_be_visible()
    await expect(row).to_contain_text("archived")
    await row.get_by_role("link").first.click()
    await expect(lines).to_have_count(3)
    assert (await window.api.get(f"/v1/smiths/{smith}")).json()["customer_id"] is None


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing(window: Window, theme: str) -> None:
    page = window.page
    await page.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    body = {"name": f"Axe {theme}", "external_ids": {"stripe_customer_id": "cus_nobody"}}
    customer = (await window.api.post("/v1/customers", json=body)).json()
    smith = (await window.api.post("/v1/smiths", json={"customer_id": customer["id"]})).json()["id"]
    await window.api.put("/v1/tenant/stripe", json={"api_key": KEY})
    await window.api.post("/v1/usage/events", json={"smith_id": smith, "meter": "pages", "quantity": 1})
    one = f"{window.root}/customers/{customer['id']}"
    pages = {f"{window.root}/customers": "Customers", one: body["name"], f"{one}?tab=smiths": body["name"]}
    pages |= {f"{one}?tab=pushes": body["name"], f"{window.root}/rates": "Rates"}
    found = await window.barriers_on(pages | {f"{window.root}/settings/stripe": "Stripe"})
    await window.visitor.go(f"{one}?tab=pushes", body["name"])
    await expect(page.locator("td .badge")).to_have_text("dead")
    await page.get_by_role("button", name="Edit").click()
    found += await window.visitor.barriers()
    assert found == []
