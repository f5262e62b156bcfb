"""A walk through one person's memory, served: facts, the document, what changed, and a question."""

import os
import re
from typing import Any

import pytest
from playwright.async_api import expect

from tests.console.served import Window


async def written(window: Window, smith: str, content: str, **fields: Any) -> str:
    answer = await window.api.post(f"/v1/smiths/{smith}/memories", json={"content": content, **fields})
    return str(answer.json()["id"])


async def test_facts_are_tended_and_follow_what_others_do(window: Window) -> None:
    page = window.page
    smith = await window.smith(external_id="ada", model="test/echo")
    await window.visitor.go(f"{window.root}/smiths/{smith}", "ada")
    await page.get_by_role("link", name="Memory", exact=True).click()
    await expect(page.get_by_role("heading", name="No facts yet")).to_be_visible()

    await page.get_by_role("button", name="Add a fact").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Fact", exact=True).fill("Lives in Rome.")
    await dialog.get_by_label("Category").fill("home")
    assert await window.visitor.barriers() == []
    await dialog.get_by_role("button", name="Save").click()
    row = page.get_by_role("table", name="Facts").get_by_role("row")
    await expect(row.nth(1)).to_contain_text("Lives in Rome.")
    tea = await written(window, smith, "Likes tea.")
    await expect(row.nth(1)).to_contain_text("Likes tea.")
    await window.api.delete(f"/v1/smiths/{smith}/memories/{tea}")
    await expect(row).to_have_count(2)

    await page.get_by_role("link", name="Lives in Rome.").click()
    await page.get_by_role("button", name="Edit: Lives in Rome.").click()
    await dialog.get_by_label("Fact", exact=True).fill("Lives in Milan.")
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("table", name="What it said before")).to_contain_text("Lives in Rome.")
    await page.get_by_role("button", name="Undo").click()
    await expect(page.get_by_role("heading", name="Lives in Rome.")).to_be_visible()
    await page.get_by_role("button", name="Replace …").click()
    await dialog.get_by_label("Fact", exact=True).fill("Lives in Oslo.")
    await dialog.get_by_role("button", name="Save").click()
    await page.get_by_role("link", name="Lives in Oslo.").click()
    await expect(page.get_by_role("table", name="What it replaced")).to_contain_text("Lives in Rome.")
    assert await window.visitor.barriers() == []
    await page.get_by_role("button", name="Delete: Lives in Oslo.").click()
    await expect(dialog).to_contain_text("The older fact that it replaced goes with it.")
    await dialog.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("heading", name="No facts yet")).to_be_visible()
    assert (await window.api.get(f"/v1/smiths/{smith}/memories?superseded=true")).json()["data"] == []


async def test_a_document_that_somebody_else_wrote_meanwhile_is_not_overwritten(window: Window) -> None:
    page = window.page
    smith = await window.smith(external_id="bea")
    path = f"/v1/smiths/{smith}/memory"
    await window.visitor.go(f"{window.root}/smiths/{smith}?tab=memory&view=document", "bea")
    editor = page.get_by_label("Working document")
    await editor.fill("Mag Käse.")
    await expect(page.locator("#memory-bytes")).to_have_text("10 of 32,768 bytes.")
    await window.api.put(path, json={"content": "Likes tea."})
    told = page.get_by_role("alert").filter(has_text="API has written version 1 meanwhile.")
    await expect(told).to_be_visible()
    await expect(editor).to_have_value("Mag Käse.")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_label("Version 1", exact=True)).to_have_text("Likes tea.")
    assert (await window.api.get(path)).json()["content"] == "Likes tea."
    assert await window.visitor.barriers() == []
    await page.get_by_label("Save mine over version 1").check()
    await page.get_by_role("button", name="Save").click()
    await expect(told).to_be_hidden()
    await page.get_by_role("button", name="Restore version 1").click()
    dialog = page.get_by_role("dialog", name="Restore version 1")
    await expect(dialog.get_by_role("table", name="Document")).to_contain_text("Mag Käse.")
    await dialog.get_by_role("button", name="Restore").click()
    await expect(editor).to_have_value("Likes tea.")
    assert (await window.api.get(path)).json() | {"updated_at": ""} == {
        "content": "Likes tea.", "version": 3, "updated_at": ""
    }  # fmt: skip


async def test_what_changed_is_told_and_a_question_is_tried(window: Window) -> None:
    page = window.page
    smith = await window.smith(external_id="eve", model="test/echo")
    said = {"input": [{"role": "user", "content": "My cello teacher comes on Friday."}], "thread_id": "music"}
    await window.api.post(f"/v1/smiths/{smith}/runs", json=said)
    await window.visitor.go(f"{window.root}/smiths/{smith}?tab=memory&view=changes", "eve")
    await expect(page.get_by_text("Nothing was remembered yet.")).to_be_visible()
    for content in ("Plays the cello.", "Drinks green tea."):
        await written(window, smith, content)
    changes = page.get_by_role("table", name="Changes").get_by_role("row")
    await expect(changes).to_have_count(3)
    await page.get_by_role("link", name="What would be recalled").click()
    await page.get_by_label("What would be recalled for").fill("Which instrument does she play?")
    await page.keyboard.press("Enter")
    facts = page.get_by_role("table", name="Facts that would be recalled")
    await expect(facts.get_by_role("row").nth(1)).to_contain_text("Plays the cello.")
    turns = page.get_by_role("table", name="Past turns that would be recalled")
    await turns.get_by_role("link").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("My cello teacher")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing(window: Window, theme: str) -> None:
    smith = await window.smith(external_id=f"axe-{theme}")
    old = await written(window, smith, "Lives in Rome.", expires_at="2040-01-01T00:00:00Z")
    await written(window, smith, "Lives in Oslo.", supersedes=old, category="home")
    await window.api.put(f"/v1/smiths/{smith}/memory", json={"content": "# Ada"})
    await window.page.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    one = f"{window.root}/smiths/{smith}?tab=memory"
    views = ("&history=1", f"&fact={old}", "&view=document", "&view=changes")
    assert await window.barriers_on(dict.fromkeys([one + view for view in views], f"axe-{theme}")) == []
    await window.visitor.go(f"{one}&view=tryout", f"axe-{theme}")
    await window.page.get_by_label("What would be recalled for").fill("Where does she live?")
    await window.page.get_by_role("button", name="Recall", exact=True).click()
    await window.page.get_by_role("table", name="Facts that would be recalled").wait_for()
    assert await window.visitor.barriers() == []


async def test_how_far_the_embedding_model_has_come_is_shown_as_it_comes(window: Window) -> None:
    page = window.page
    smith = await window.smith(external_id="bob")
    await written(window, smith, "Plays the cello.")
    await window.visitor.go(f"{window.root}/settings/models", "Models")
    come = page.get_by_role("status").filter(has_text="are embedded")
    await expect(come).to_contain_text(re.compile(r"(\d+) of \1 facts and turns"), timeout=30_000)
    wish = page.get_by_label("Embedding model")
    await wish.fill("nonsense")
    form = page.locator("form").filter(has=wish)
    await form.get_by_role("button", name="Save").click()
    await expect(form.get_by_role("alert")).to_contain_text("No provider goes with")
    await wish.fill("openai/text-embedding-3-small")
    await form.get_by_role("button", name="Save").click()
    await expect(come).to_contain_text(re.compile(r"0 of .*embedded\.\s*Smiths that wait: [1-9]"))
    if folder := os.environ.get("PICTURES"):
        await page.screenshot(path=f"{folder}/embedding.png", full_page=True)
    await page.set_viewport_size({"width": 390, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
