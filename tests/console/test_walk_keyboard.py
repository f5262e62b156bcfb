"""A walk by keyboard alone through Spend and Revenue, and through the numbers of a project."""

import re

from playwright.async_api import Locator, Page, expect

from tests.console.served import Console, Window
from tests.console.test_walk_customers import priced

_FOCUS = """() => {
  const one = document.activeElement, box = one.getBoundingClientRect(), style = getComputedStyle(one);
  return {
    name: (one.getAttribute('aria-label') || one.textContent || one.id || one.tagName).trim().slice(0, 60),
    place: [...document.querySelectorAll('*')].indexOf(one),
    body: one === document.body,
    seen: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight && style.visibility === 'visible',
    ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0,
  };
}"""


async def tabbed(window: Window, path: str, heading: str) -> list[str]:
    """Go through a page with Tab; return the names of what gets the focus, each seen, ringed and in reading order."""
    page = window.page
    await window.visitor.go(f"{window.root}/{path}", heading)
    await expect(page.locator(".skeleton")).to_have_count(0)
    names: list[str] = []
    before = -1
    while True:
        await page.keyboard.press("Tab")
        focus = await page.evaluate(_FOCUS)
        if focus["body"] or focus["place"] <= before:
            return names
        assert focus["seen"], focus
        assert focus["ring"], focus
        names.append(focus["name"])
        before = focus["place"]


async def opened(page: Page, opener: Locator, dialog: Locator) -> None:
    """Open a dialog with Enter: the focus goes into it, and comes back when Escape closes it."""
    await opener.focus()
    for closing in (True, False):
        await page.keyboard.press("Enter")
        await expect(dialog).to_be_visible()
        await expect(dialog.locator(":focus")).to_have_count(1)
        if closing:
            await page.keyboard.press("Escape")
            await expect(dialog).to_be_hidden()
            await expect(opener).to_be_focused()


async def test_what_is_spent_is_seen_and_limited_without_a_mouse(
    console: Console, pages: dict[str, str], window: Window
) -> None:
    page = window.page
    priced(console, pages)
    smith = await window.smith(external_id="guest-1", model="test/echo")
    asked = {"input": [{"role": "user", "content": "one two three"}]}
    assert (await window.api.post(f"/v1/smiths/{smith}/runs", json=asked)).json()["status"] == "completed"
    await window.visitor.go(f"{window.root}/usage", "Usage & cost")
    drawer = page.get_by_role("dialog", name="Code")
    await opened(page, page.get_by_role("button", name="Code"), drawer)
    await page.keyboard.press("Escape")
    opener, dialog = page.get_by_role("button", name="New budget"), page.get_by_role("dialog", name="New budget")
    await opened(page, opener.first, dialog)
    await dialog.get_by_label("Limit").focus()
    await page.keyboard.type("5")
    await page.keyboard.press("Enter")
    row = page.get_by_role("table", name="Budgets").get_by_role("row").nth(1)
    await expect(row).to_contain_text("of $5.00")
    await expect(dialog).to_be_hidden()
    edit, dialog = row.get_by_role("button", name="Edit"), page.locator("dialog[open]")
    await opened(page, edit, dialog)
    await dialog.get_by_label("Limit").focus()
    await page.keyboard.press("Control+a")
    await page.keyboard.type("6")
    await page.keyboard.press("Enter")
    await expect(row).to_contain_text("of $6.00")
    await expect(edit).to_be_focused()
    await opened(page, row.get_by_role("button", name="Take off"), dialog)
    await page.keyboard.press("Escape")
    names = " ".join(await tabbed(window, "usage", "Usage & cost"))
    assert re.search("Code.+Budgets.+Edit.+Take off.+Smiths by cost.+guest-1.+Export CSV", names), names
    names = await tabbed(window, "calls", "Model calls")
    assert "Run run_" in " ".join(names), names
    await page.get_by_role("table").get_by_role("link", name="Run run_").first.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Run", level=1)).to_be_visible()
    await window.visitor.go(f"{window.root}/usage", "Usage & cost")
    await row.get_by_role("button", name="Take off").focus()
    await page.keyboard.press("Enter")
    await dialog.get_by_role("button", name="Take it off").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("No budgets yet")).to_be_visible()
    await expect(page.locator("#main")).to_be_focused()


async def test_customers_and_rates_are_kept_without_a_mouse(window: Window) -> None:
    page = window.page
    await window.visitor.go(f"{window.root}/rates", "Rates")
    await page.get_by_label("Model calls, in percent").focus()
    await page.keyboard.press("Control+a")
    await page.keyboard.type("130")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Saved.")).to_be_visible()
    await opened(page, page.get_by_role("button", name="Code"), page.get_by_role("dialog", name="Code"))
    await page.keyboard.press("Escape")
    assert (await tabbed(window, "rates", "Rates"))[-3:] == ["percent", "run_price", "meters"]
    await window.visitor.go(f"{window.root}/customers", "Customers")
    dialog = page.get_by_role("dialog", name="New customer")
    await opened(page, page.get_by_role("button", name="New customer").first, dialog)
    await dialog.get_by_label("Name").focus()
    await page.keyboard.type("Hotel Post")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Hotel Post", level=1)).to_be_visible()
    for name, about in (("Edit", "Edit the customer"), ("Archive", "Archive this customer"), ("Code", "Code")):
        await opened(page, page.get_by_role("button", name=name, exact=True), page.get_by_role("dialog", name=about))
        await page.keyboard.press("Escape")
    one = f"customers/{page.url.rpartition('/')[2]}"
    assert "Archive" in await tabbed(window, one, "Hotel Post")
    await page.get_by_role("link", name="Smiths", exact=True).last.focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Assign a smith")
    await opened(page, page.get_by_role("button", name="Assign a smith"), dialog)
    await window.api.post("/v1/smiths", json={"external_id": "guest-9", "model": "test/echo"})
    await dialog.get_by_label("Smith").focus()
    await page.keyboard.type("guest-9")
    await page.keyboard.press("Enter")
    await expect(page.locator("tr[data-row]")).to_contain_text("guest-9")
    await expect(dialog).to_be_hidden()
    await expect(page.get_by_role("button", name="Assign a smith")).to_be_focused()
    assert "Unassign guest-9" in await tabbed(window, f"{one}?tab=smiths", "Hotel Post")
    customer = one.rpartition("/")[2]
    await window.api.post("/v1/smiths", json={"external_id": "guest-10", "customer_id": customer})
    await window.visitor.go(f"{window.root}/{one}?tab=smiths", "Hotel Post")
    rows = page.locator("tr[data-row]")
    await expect(rows).to_have_count(2)
    await page.get_by_role("button", name="Unassign guest-9").focus()
    await page.keyboard.press("Enter")
    await expect(rows).to_have_count(1)
    await expect(page.get_by_role("region", name="Smiths")).to_be_focused()
    assert "Settings" in await tabbed(window, f"{one}?tab=pushes", "Hotel Post")
    assert "Hotel Post" in await tabbed(window, "customers", "Customers")
    await page.set_viewport_size({"width": 390, "height": 800})
    assert await window.visitor.barriers() == []
    await page.get_by_role("button", name="Menu").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#side :focus")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Menu")).to_be_focused()
    await page.locator("tr[data-row] a").first.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Hotel Post", level=1)).to_be_visible()


async def test_how_long_runs_are_kept_and_what_one_may_cost_is_set_without_a_mouse(window: Window) -> None:
    page = window.page
    await window.visitor.go(f"{window.root}/settings/project", "Project")
    for part, label, typed in (("retention", "Runs", "30"), ("limits", "Cost", "2.50")):
        form = page.locator(f"#{part}-form")
        await form.get_by_label(label, exact=True).focus()
        await page.keyboard.type(typed)
        await page.keyboard.press("Enter")
        await expect(form.get_by_role("button", name="Save")).to_be_hidden()
    await page.reload()
    await expect(page.locator("#retention-form").get_by_label("Runs", exact=True)).to_have_value("30")
    await expect(page.locator("#limits-form").get_by_label("Cost", exact=True)).to_have_value("2.5")
    kept = (await window.api.get("/v1/tenant/settings")).json()
    assert (kept["retention"]["runs_days"], kept["limits"]["max_cost_micros"]) == (30, 2_500_000)
