"""A walk through the pages one works in, served: from a new agent to runs that are watched and stopped."""

import re
from hashlib import sha256
from typing import Any

import pytest
from playwright.async_api import Page, expect

from ingram_app.console.thread_lines import key_of
from tests.console.served import Window
from tests.pictures import image, png, said

_SLOW = "[[words 600]] [[pause 50ms]] round and"
"""Half a minute of `test/slow`: time enough to watch."""


async def test_from_a_new_agent_to_a_rollout_and_back(window: Window) -> None:
    page = window.page
    await window.visitor.go(f"{window.root}/agents", "Agents")
    await page.get_by_role("button", name="New agent").click()
    await page.get_by_role("dialog").get_by_label("Name").fill("Concierge")
    await page.get_by_role("button", name="Create agent").click()
    await expect(page.get_by_role("heading", name="Concierge", level=1)).to_be_visible()
    await expect(page.get_by_text("draft only")).to_be_visible()
    await _save(page, "Be brief.")
    await expect(page.locator("#instructions-count")).to_have_text("9 of 100,000 characters.")
    await _publish(page, "First", "goes live by itself")
    agent = page.url.rpartition("/")[2]
    smiths = [await window.smith(agent_id=agent, external_id=f"guest-{number}", model=None) for number in range(3)]
    while _share(agent, smiths[0]) < 33:  # the one that is pinned would run version 2 at 33 % already
        await window.api.delete(f"/v1/smiths/{smiths[0]}")
        smiths[0] = await window.smith(agent_id=agent, external_id="guest-0", model=None)
    await window.api.patch(f"/v1/smiths/{smiths[0]}", json={"pin": 1})
    await _save(page, "Be kind.")
    await expect(page.get_by_text("unpublished changes")).to_be_visible()
    await _publish(page, "Kinder", "Be brief.")
    await page.get_by_role("link", name="Versions").click()
    await expect(page.get_by_role("row", name="Kinder")).to_contain_text("Version 2")
    await page.get_by_label("Before").select_option(label="Version 1")
    await page.get_by_label("After").select_option(label="Version 2")
    await page.get_by_role("button", name="Compare").click()
    difference = page.get_by_role("table", name="Instructions").get_by_role("row")
    await expect(difference.nth(1)).to_have_text("Be brief.Be kind.")
    await page.get_by_role("link", name="Roll out …").click()
    await window.api.post(f"/v1/agents/{agent}/rollout", json={"version": 2, "percent": 20})
    await expect(page.get_by_text("Version 2, 20 %")).to_be_visible()
    await _roll_out(page, 33)
    await expect(page.get_by_text("Version 2, 33 %")).to_be_visible()
    await page.get_by_role("link", name="Smiths", exact=True).last.click()
    await expect(page.get_by_role("row", name="guest-0")).to_contain_text("Version 1pinned")
    await page.get_by_role("link", name="Rollout").click()
    await _roll_out(page, 100, "1 smith would move too", "Make it live")
    await expect(page.get_by_text("Everyone runs version 2.")).to_be_visible()
    assert await _versions(window, smiths) == [1, 2, 2]
    await page.get_by_role("button", name="Roll back to version 1").click()
    await expect(page.get_by_text("Everyone runs version 1.")).to_be_visible()
    assert await _versions(window, smiths) == [1, 1, 1]
    await expect(page.get_by_role("table", name="History").get_by_role("row")).to_have_count(7)


def _share(agent_id: str, smith_id: str) -> float:
    """Return at which percentage a smith begins to run a new version."""
    return int.from_bytes(sha256(f"{agent_id}:{smith_id}".encode()).digest()) % 10_000 / 100


async def _save(page: Page, instructions: str) -> None:
    save = page.get_by_role("button", name="Save draft")
    await expect(save).to_be_hidden()
    await page.get_by_label("Instructions").fill(instructions)
    await save.click()
    await expect(save).to_be_hidden()


async def _publish(page: Page, note: str, shown: str) -> None:
    """Publish the draft, once its difference from what is live is shown."""
    await page.get_by_role("button", name="Publish …").click()
    await expect(page.get_by_role("dialog", name="Publish")).to_contain_text(shown)
    await page.get_by_label("Note").fill(note)
    await page.get_by_role("button", name="Publish", exact=True).click()
    await expect(page.get_by_role("dialog", name="Publish")).to_be_hidden()


async def _roll_out(page: Page, percent: int, shown: str = "Be brief.", deed: str = "Roll out") -> None:
    """Roll out, once the plan is shown."""
    await page.get_by_label("Share of the smiths").fill(str(percent))
    await expect(page.locator("#rollout-share")).to_have_text(f"{percent} %")
    await page.get_by_role("button", name="Plan …").click()
    plan = page.get_by_role("dialog", name="Version 2 for")
    await expect(plan).to_contain_text(shown)
    await plan.get_by_role("button", name=deed).click()
    await expect(plan).to_be_hidden()


async def _versions(window: Window, smiths: list[str]) -> list[int]:
    return [(await window.api.get(f"/v1/smiths/{smith}")).json()["agent_version"] for smith in smiths]


async def test_a_draft_is_talked_to_before_it_is_published(window: Window) -> None:
    page = window.page
    agent = (await window.api.post("/v1/agents", json={"name": "Untold", "model": "test/slow"})).json()["id"]
    await window.visitor.go(f"{window.root}/agents/{agent}?tab=playground", "Untold")
    await page.get_by_label("Message").fill("[[words 3]] [[pause 1ms]] one two three")
    await page.keyboard.press("Enter")
    reply = page.get_by_role("article").first.locator("p.said").nth(1)
    await expect(reply).to_have_text(re.compile("^one two three"))
    await expect(page.get_by_text(re.compile(r"\d tokens"))).to_be_visible()
    await page.reload()
    await expect(reply).to_have_text(re.compile("^one two three"))
    assert (await window.api.get("/v1/smiths", params={"agent_id": agent})).json()["data"] == []
    await page.get_by_role("button", name="Start over").click()
    await expect(page.get_by_role("heading", name="Talk to the draft")).to_be_visible()
    assert (await window.api.get("/v1/runs", params={"agent_id": agent})).json()["data"] == []


async def test_who_leaves_a_changed_draft_is_asked_and_a_model_id_of_ones_own_is_taken(window: Window) -> None:
    page = window.page
    agent = (await window.api.post("/v1/agents", json={"name": "Own model"})).json()["id"]
    await window.visitor.go(f"{window.root}/agents/{agent}", "Own model")
    own = page.get_by_label("Model id")
    await expect(own).to_be_hidden()
    await page.get_by_label("Model", exact=True).select_option("other")
    await own.fill("my-endpoint/llama")
    asked: list[str] = []

    async def stay(dialog: Any) -> None:
        asked.append(dialog.message)
        await dialog.dismiss()

    page.on("dialog", stay)
    await page.get_by_role("link", name="Smiths", exact=True).first.click()
    assert len(asked) == 1
    await page.get_by_role("button", name="Save draft").click()
    await expect(page.get_by_role("button", name="Save draft")).to_be_hidden()
    await page.reload()
    await expect(own).to_have_value("my-endpoint/llama")


async def test_a_smith_is_made_and_talked_to(window: Window) -> None:
    page = window.page
    agent = (await window.api.post("/v1/agents", json={"name": "Slow", "model": "test/slow"})).json()["id"]
    await window.api.post(f"/v1/agents/{agent}/versions", json={})
    await window.visitor.go(f"{window.root}/smiths", "Smiths")
    await page.get_by_role("button", name="New smith").first.click()
    await page.get_by_role("dialog").get_by_label("External id").fill("user-1")
    await page.get_by_role("dialog").get_by_label("Agent").select_option(label="Slow")
    await page.get_by_role("button", name="Create smith").click()
    await page.get_by_role("link", name="Talk to it").click()
    await page.get_by_label("Message").fill("[[words 30]] [[pause 100ms]] one two")
    await page.keyboard.press("Enter")
    reply = page.get_by_role("article").first.locator("p.said").nth(1)
    await expect(reply).to_have_text(re.compile(r"^one( \w+){1,28} ?$"), timeout=5000)
    await expect(page.get_by_label("Message")).to_have_value("")
    await expect(page).to_have_url(re.compile(r"tab=playground&thread=thr_"))
    await expect(page.get_by_text(re.compile(r"\d tokens"))).to_be_visible()
    assert len((await reply.inner_text()).split()) == 30
    await page.get_by_label("Message").fill(_SLOW)
    await page.keyboard.press("Enter")
    second = page.get_by_role("article").nth(1).locator("p.said").nth(1)
    await expect(second).to_contain_text("round and")
    await page.reload()
    await expect(second).to_contain_text("round and")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_text("Stopped.")).to_be_visible()
    await expect(second).to_contain_text("round and")
    await page.get_by_role("link", name="New thread").click()
    await expect(page.get_by_text("A new thread begins")).to_be_visible()
    await expect(page.get_by_role("article")).to_have_count(0)


async def test_a_field_is_overridden_and_reset(window: Window) -> None:
    page = window.page
    smith = await window.smith(external_id="user-2")
    await window.visitor.go(f"{window.root}/smiths/{smith}", "user-2")
    row = page.locator("[data-field=instructions]")
    await page.get_by_role("button", name="Override Instructions").click()
    await page.get_by_role("dialog").get_by_label("Instructions").fill("Answer in French.")
    await page.get_by_role("button", name="Override", exact=True).click()
    await expect(row).to_contain_text("Answer in French.")
    await expect(row.locator(".badge")).to_have_text("overridden")
    await page.get_by_role("button", name="Reset Instructions").click()
    await expect(row).to_contain_text("inherited")
    await expect(row).not_to_contain_text("French")


async def test_a_run_appears_while_one_looks_is_watched_and_cancelled(window: Window) -> None:
    page = window.page
    smith = await window.smith(external_id="user-3")
    first = await window.start(smith, "[[pause 1ms]] Hello")
    await window.visitor.go(f"{window.root}/runs?smith={smith}", "Runs")
    rows = page.locator("tr[data-row]")
    await expect(rows).to_have_count(1)
    run = await window.start(smith, _SLOW)
    await page.get_by_role("button", name="1 new").click()
    await expect(rows).to_have_count(2)
    await expect(rows.first).to_contain_text("running")
    await rows.first.click()
    await expect(page).to_have_url(re.compile(f"/runs/{run}$"))
    words = page.locator(".story .words").nth(1)
    await expect(words).to_contain_text("round and")
    before = len(await words.inner_text())
    await page.wait_for_function(
        "n => document.querySelectorAll('.story .words')[1].textContent.length > n", arg=before
    )
    await page.get_by_role("button", name="Cancel run").click()
    await expect(page.get_by_text("The run was cancelled here.")).to_be_visible()
    await expect(words).to_contain_text("round and")
    assert await window.status(smith, run) == "cancelled"
    assert await window.status(smith, first) == "completed"


async def test_runs_are_looked_for_by_the_day(window: Window) -> None:
    page = window.page
    smith = await window.smith(external_id="user-8")
    await window.start(smith, "Hello")
    await window.visitor.go(f"{window.root}/runs?smith={smith}&cursor=", "Runs")
    rows, days = page.locator("tr[data-row]"), page.get_by_title("Take this filter away").first
    await expect(rows).to_have_count(1)
    today = await page.evaluate("new Date().toISOString().slice(0, 10)")
    await page.get_by_label("From day (UTC)").fill("2026-01-01")
    await page.get_by_label("To day (UTC)").fill("2026-01-31")
    await page.get_by_role("button", name="Show", exact=True).click()
    await expect(page.get_by_text("No run matches.")).to_be_visible()
    await expect(days).to_have_text("Days (UTC): 1 Jan 2026 to 31 Jan 2026")
    await expect(page).to_have_url(re.compile(rf"\?smith={smith}&from=2026-01-01&to=2026-01-31$"))
    await page.get_by_label("To day (UTC)").fill(today)
    await page.get_by_label("To day (UTC)").press("Enter")
    await expect(rows).to_have_count(1)
    await days.click()
    await expect(page).to_have_url(re.compile(rf"\?smith={smith}$"))
    await expect(page.get_by_label("From day (UTC)")).to_have_value("")
    await expect(rows).to_have_count(1)


async def test_a_row_changes_its_state_where_it_stands(window: Window) -> None:
    page = window.page
    smith = await window.smith(external_id="user-4")
    run = await window.start(smith, _SLOW)
    await window.visitor.go(f"{window.root}/runs?smith={smith}", "Runs")
    row = page.locator("tr[data-row]").first
    await expect(row).to_contain_text("running")
    await window.api.post(f"/v1/smiths/{smith}/runs/{run}/submit", json={"kind": "cancel"})
    await expect(row).to_contain_text("cancelled")


async def test_another_projects_things_are_not_here(window: Window) -> None:
    for noun in ("agents/agt_elsewhere", "smiths/smt_elsewhere", "runs/run_elsewhere"):
        await window.visitor.go(f"{window.root}/{noun}", "Not here")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing(window: Window, theme: str) -> None:
    page = window.page
    smith = await window.smith(external_id=f"axe-{theme}", instructions="Be brief.")
    asked = {"input": [{"role": "user", "content": "[[pause 1ms]] Hello"}], "thread_id": "first"}
    run = (await window.api.post(f"/v1/smiths/{smith}/runs", json=asked)).json()["id"]
    await window.api.patch(f"/v1/smiths/{smith}", json={"model": "test/fail"})
    failed = (await window.api.post(f"/v1/smiths/{smith}/runs", json=asked)).json()["id"]
    agent = (await window.api.post("/v1/agents", json={"name": f"Axe {theme}", "instructions": "one"})).json()
    await window.api.post(f"/v1/agents/{agent['id']}/versions")
    await window.api.patch(
        f"/v1/agents/{agent['id']}", json={"instructions": "two", "client_tools": [{"name": "open"}]}
    )
    await page.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    one = f"{window.root}/smiths/{smith}"
    pages = {
        f"{window.root}/agents": "Agents",
        f"{window.root}/agents/{agent['id']}": agent["name"],
        f"{window.root}/agents/{agent['id']}?tab=versions&a=1&b=draft": agent["name"],
        f"{window.root}/agents/{agent['id']}?tab=rollout": agent["name"],
        f"{window.root}/agents/{agent['id']}?tab=smiths": agent["name"],
        f"{window.root}/agents/{agent['id']}?tab=playground": agent["name"],
        f"{window.root}/smiths": "Smiths",
        one: f"axe-{theme}",
        f"{one}?tab=threads": f"axe-{theme}",
        f"{one}?tab=runs": f"axe-{theme}",
        f"{one}?tab=playground&thread=first": f"axe-{theme}",
        f"{one}/threads/{key_of('first')}": "[[pause 1ms]] Hello",
        f"{window.root}/runs?status=failed&smith={smith}": "Runs",
        f"{window.root}/runs?status=queued": "Runs",
        f"{window.root}/runs/{run}": "Run",
        f"{window.root}/runs/{failed}": "Run",
    }
    found = await window.barriers_on(pages)
    await page.get_by_role("button", name="Show the raw frames").click()
    await page.get_by_role("button", name="Hide").wait_for()
    await page.get_by_role("button", name="Code").click()
    found += await window.visitor.barriers()
    assert found == []


async def test_a_conversation_is_read_watched_renamed_and_deleted(window: Window) -> None:
    page = window.page
    smith = await window.smith(external_id="user-5")
    path, name = f"/v1/smiths/{smith}/runs", "parcels/2026 ?"
    first = said("[[pause 0ms]] Where is it?", image(png(200)), thread_id=name)
    assert (await window.api.post(path, json=first)).is_success
    await window.visitor.go(f"{window.root}/smiths/{smith}?tab=threads", "user-5")
    await page.get_by_role("link", name="Where is it?").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Where is it?")
    await expect(page.get_by_role("img", name="A picture that was sent")).to_be_visible()
    await expect(page.locator(".story .turn")).to_have_count(2)
    await window.api.post(path, json=said(_SLOW, thread_id=name, background=True))
    await expect(page.locator(".story .turn")).to_have_count(4)
    live = page.locator(".story .words").last
    await expect(live).to_contain_text("round and round and")
    pressing = said("[[pause 0ms]] Never mind", thread_id=name, on_busy="interrupt")
    assert (await window.api.post(path, json=pressing)).json()["output"]["content"] == "Never mind"
    await expect(page.get_by_text("This turn was interrupted here.")).to_be_visible()
    await expect(page.locator(".story .words").last).to_have_text("Never mind")
    await expect(page.locator(".beside li")).to_have_count(3)
    async with page.expect_download() as given:
        await page.get_by_role("button", name="Download").click()
    assert (await given.value).suggested_filename.endswith(".png")
    await page.get_by_role("button", name="Rename").first.click()
    await page.get_by_role("dialog").get_by_label("Title").fill("A lost parcel")
    await page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    await expect(page.get_by_role("heading", name="A lost parcel", level=1)).to_be_visible()
    await page.get_by_role("button", name="Delete …").click()
    sure = page.get_by_role("dialog").get_by_role("button", name="Delete")
    await expect(page.get_by_role("dialog")).to_contain_text("3 turns")
    await expect(sure).to_be_disabled()
    await page.get_by_role("dialog").get_by_role("textbox").fill("A lost parcel")
    await sure.click()
    await expect(page.get_by_text("No conversation yet.")).to_be_visible()
    assert (await window.api.get(f"/v1/smiths/{smith}/threads")).json()["data"] == []
