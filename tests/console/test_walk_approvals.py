"""A walk past a gate, served: a tool waits, somebody reads what it would do, says yes, and it is done once."""

import re
from typing import Any

import httpx
from playwright.async_api import expect

from ingram_app.console.thread_lines import key_of
from tests.console.served import Window

MULTIPLY = '[[call multiply {"a": 6, "b": 7}]]'


_STICKS_OUT = """[...document.querySelectorAll("main :is(h1, p, dd, .id, code)")]
    .filter(one => !one.closest("td > .clip, pre, dialog") && one.getBoundingClientRect().right > innerWidth)
    .map(one => one.outerHTML)"""


async def ask(api: httpx.AsyncClient, external_id: str, said: str, **more: Any) -> dict[str, Any]:
    tools = {"enabled_hosted_tools": ["calculator"], "approval_policy": [{"match": "multiply"}]}
    client = {"client_tools": [{"name": "locate", "description": "Where the user is."}]}
    smith = (
        await api.post("/v1/smiths", json={"external_id": external_id, "model": "test/tools", **tools, **client})
    ).json()
    run = (await api.post(f"/v1/smiths/{smith['id']}/runs", json={"input": [{"content": said}], **more})).json()
    return dict(run)


async def test_a_gated_tool_is_approved_in_the_inbox_and_runs_once(window: Window) -> None:
    page = window.page
    await window.visitor.go(f"{window.root}/approvals", "Approvals")
    await expect(page.get_by_role("heading", name="Nothing waits")).to_be_visible()
    assert await window.visitor.barriers() == []
    run = await ask(window.api, "ann", MULTIPLY)
    await expect(page.get_by_role("link", name="Approvals 1 waiting")).to_be_visible()
    await page.get_by_role("button", name="1 new").click()
    card = page.get_by_role("article")
    await expect(card).to_contain_text('"a": 6')
    await expect(card).to_contain_text("waits for a decision")
    await expect(card.get_by_role("link", name="ann")).to_have_attribute("href", re.compile("/smiths/smt_"))
    await expect(card.get_by_role("link", name="Default")).to_have_attribute("href", re.compile("/agents/agt_"))
    assert await window.visitor.barriers() == []
    await page.keyboard.press("j")
    await page.keyboard.press("a")
    await expect(card).to_contain_text("Approved by ada@example.com")
    await expect(page.get_by_role("link", name="Approvals", exact=True)).to_be_visible()
    await card.get_by_role("link", name="multiply").click()
    await expect(page).to_have_url(re.compile(run["id"]))
    used = page.get_by_text("multiply answered").first
    await used.click()
    await expect(page.locator(".tool-use")).to_contain_text('"b": 7')
    await expect(page.locator(".tool-use pre").last).to_have_text("42")
    assert await window.visitor.barriers() == []
    calls = (await window.api.get("/v1/events", params={"type": "tool.completed"})).json()["data"]
    assert len([event for event in calls if event["data"]["run_id"] == run["id"]]) == 1


async def test_a_run_is_watched_over_its_pauses_and_answered_on_its_page(window: Window) -> None:
    page = window.page
    run = await ask(window.api, "bob", f"{MULTIPLY} [[call locate]]")
    await window.visitor.go(f"{window.root}/runs/{run['id']}", "Run")
    await expect(page.get_by_text("waits for approval")).to_be_visible()
    await page.get_by_text("Reject …").click()
    await page.get_by_label("Why? The model is told.").fill("Count yourself.")
    assert await window.visitor.barriers() == []
    await page.get_by_role("button", name="Reject", exact=True).click()
    result = page.get_by_label("Result, JSON or text")
    await expect(result).to_be_visible()
    await page.get_by_role("button", name="Submit the result").click()
    await expect(page.get_by_role("alert")).to_contain_text("Write the result first.")
    assert await window.visitor.barriers() == []
    await result.fill('{"city": "Rome"}')
    await page.get_by_role("button", name="Submit the result").click()
    await expect(page.locator(".page-head .badge")).to_have_text("completed")
    await expect(page.locator(".story .words").last).to_contain_text("Count yourself.")
    await expect(page.locator(".story .words").last).to_contain_text("Rome")
    used = page.locator(".story .tool-use")
    await expect(used.locator("summary")).to_have_text(["multiply was rejected by ada@example.com", "locate answered"])
    await used.last.locator("summary").click()
    await expect(used.last.locator("pre").last).to_contain_text("Rome")
    await expect(page.locator(".facts")).not_to_contain_text("Taken up again")


async def test_what_an_erased_person_said_leaves_the_pages_that_show_it(window: Window) -> None:
    page, inbox = window.page, await window.visitor.context.new_page()
    run = await ask(window.api, "eve", MULTIPLY)
    await inbox.goto(f"{window.root}/approvals")
    await expect(inbox.get_by_role("article")).to_contain_text("eve")
    await window.visitor.go(f"{window.root}/runs/{run['id']}", "Run")
    await expect(page.get_by_text("waits for approval")).to_be_visible()
    await window.api.post(f"/v1/smiths/{run['smith_id']}/erase")
    await expect(inbox.get_by_role("article")).to_have_count(0)
    await expect(inbox.get_by_role("link", name="Approvals", exact=True)).to_be_visible()
    await expect(page.get_by_role("heading", name="Not here")).to_be_visible(timeout=15_000)
    await expect(page.get_by_text("multiply")).to_have_count(0)


async def test_a_thread_leads_to_where_its_run_is_answered_however_long_its_id(window: Window) -> None:
    page, long = window.page, "x" * 200
    run = await ask(window.api, "cid", f"{'z' * 100} {MULTIPLY} [[call locate]]", thread_id=long)
    thread = f"{window.root}/smiths/{run['smith_id']}/threads/{key_of(long)}"
    threads = f"{window.root}/smiths/{run['smith_id']}?tab=threads"
    await page.goto(thread)
    await expect(page.get_by_text("Waits for an approval. ")).to_be_visible()
    assert await window.visitor.barriers() == []
    for path in (thread, f"{window.root}/runs/{run['id']}", f"{window.root}/runs?thread={long}", threads):
        await page.goto(path)
        await expect(page.get_by_role("main").get_by_text("xxxxxx").locator("visible=true").first).to_be_visible()
        for width in (390, 1280):
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
            assert await page.evaluate(_STICKS_OUT) == [], (path, width)
    await page.goto(thread)
    await page.get_by_role("button", name="Delete …").click()
    label = page.get_by_role("dialog").locator("label")
    assert await label.evaluate("one => one.scrollWidth <= one.clientWidth")
    await page.keyboard.press("Escape")
    await page.get_by_role("link", name="Answer it in the run").click()
    await page.get_by_role("button", name="Approve").click()
    await expect(page.get_by_label("Result, JSON or text")).to_be_visible()
    await page.goto(thread)
    await expect(page.get_by_text("Waits for a tool. ")).to_be_visible()
    path = f"/v1/smiths/{run['smith_id']}/runs/{run['id']}"
    [call] = (await window.api.get(path)).json()["output"]["tool_calls"]
    given = {"kind": "tool_result", "tool_call_id": call["tool_call_id"], "result": "Rome"}
    await window.api.post(f"{path}/submit", json=given)
    await expect(page.locator(".story .words").last).to_contain_text("Rome")
    await expect(page.get_by_text("Waits for a tool. ")).to_be_hidden()
