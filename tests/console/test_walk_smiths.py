"""A walk through one person's smith, served: their story, a token, back to a revision, their file, and forgotten."""

import json

from playwright.async_api import expect

from tests.console.served import Console, Window


async def test_a_person_from_their_story_to_their_end(window: Window, console: Console) -> None:
    page = window.page
    smith = await window.smith(external_id="anon:walker", model="test/echo", instructions="Be brief.")
    said = {"input": [{"role": "user", "content": "Where is my order?"}], "thread_id": "orders"}
    await window.api.post(f"/v1/smiths/{smith}/runs", json=said)
    await window.visitor.go(f"{window.root}/smiths/{smith}", "anon:walker")
    story = page.locator(".tale")
    await expect(story).to_contain_text("Where is my order?")
    await expect(story).to_contain_text("Of its own: Instructions, Model.")
    await expect(story).to_contain_text("$0.00 for 1 run, 0 failures,")
    assert await window.visitor.barriers() == []

    await page.get_by_role("link", name="Tokens", exact=True).click()
    await page.get_by_role("button", name="New token").click()
    asked = page.get_by_role("dialog", name="New token")
    await asked.get_by_label("Name").fill("Web shop")
    await asked.get_by_role("button", name="Create token").click()
    shown = page.locator("#token-once code")
    await expect(shown).to_contain_text("thp_live_")
    token = await shown.inner_text()
    assert (await window.api.get("/v1/runs", headers={"authorization": f"Bearer {token}"})).status_code == 200
    await page.get_by_role("button", name="I have stored it").click()
    await expect(page.get_by_role("row", name="Web shop")).to_contain_text("runs:read, runs:write")
    assert await window.visitor.barriers() == []

    await window.api.patch(f"/v1/smiths/{smith}", json={"instructions": "Answer in French."})
    await page.get_by_role("link", name="Revisions").click()
    await expect(page.get_by_role("row", name="as it was made")).to_be_visible()
    assert await window.visitor.barriers() == []
    await page.get_by_role("button", name="Restore revision 1").click()
    await expect(page.get_by_role("dialog", name="Restore revision 1")).to_contain_text("It changes: Instructions.")
    await page.get_by_role("button", name="Restore", exact=True).click()
    await expect(page.get_by_role("row", name="Revision 1 again.")).to_contain_text("3now")
    assert (await window.api.get(f"/v1/smiths/{smith}")).json()["instructions"] == "Be brief."

    await page.get_by_role("link", name="Profile").click()
    await page.get_by_role("button", name="Claim for a user").click()
    await page.get_by_label("External id of the user").fill("walker")
    await page.get_by_role("button", name="Claim", exact=True).click()
    await expect(page.get_by_role("heading", name="walker", level=1)).to_be_visible()
    await page.get_by_role("link", name="Profile").click()
    async with page.expect_download() as downloading:
        await page.get_by_role("button", name="Download").click()
    with open(await (await downloading.value).path()) as file:  # noqa: ASYNC230 - a few lines
        lines = [json.loads(line) for line in file]
    assert {line["type"] for line in lines} >= {"profile", "run", "message", "token"}
    await page.get_by_role("button", name="Erase everything").click()
    erasing = page.get_by_role("dialog", name="Erase everything about this person")
    await expect(erasing).to_contain_text("1 thread, 1 run, 2 messages")
    await erasing.get_by_role("textbox").fill("walker")
    await erasing.get_by_role("button", name="Erase").click()
    await expect(page.get_by_text("Erased. The receipt is ers_")).to_be_visible()
    assert (await window.api.get(f"/v1/smiths/{smith}")).status_code == 404
    assert (await window.api.get(f"/v1/smiths/{smith}/erase")).json()["counts"]["runs"] == 1


async def test_ticked_smiths_are_attached_to_another_agent(window: Window) -> None:
    page = window.page
    agent = (await window.api.post("/v1/agents", json={"name": "Butler", "model": "test/echo"})).json()["id"]
    await window.api.post(f"/v1/agents/{agent}/versions")
    hotel = (await window.api.post("/v1/customers", json={"name": "Hotel"})).json()["id"]
    for number in range(3):
        await window.smith(external_id=f"guest-{number}", customer_id=hotel)
    await window.visitor.go(f"{window.root}/smiths?customer={hotel}", "Smiths")
    attach = page.get_by_role("button", name="Attach to another agent")
    await expect(page.locator("tr[data-row]")).to_have_count(3)
    await expect(attach).to_be_hidden()
    assert await window.visitor.barriers() == []
    for name in ("guest-0", "guest-2"):
        await page.get_by_label(f"Select {name}").check()
    await attach.click()
    dialog = page.get_by_role("dialog", name="Attach 2 of the smiths")
    await dialog.get_by_label("Agent").select_option(label="Butler")
    await dialog.get_by_role("button", name="Attach").click()
    await expect(page.get_by_text("2 smiths attached")).to_be_visible()
    await expect(page.get_by_role("row", name="guest-0")).to_contain_text("Butler")
    await expect(page.get_by_role("row", name="guest-1")).to_contain_text("Default")
    await expect(attach).to_be_hidden()
