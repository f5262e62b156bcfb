"""A walk through the console that is served, from the first link to a session that ends."""

import asyncio
import json
import re
import uuid

import httpx
import pytest
import websockets
from playwright.async_api import Browser, expect

from ingram_app.core.secrets import digest
from tests.console.browser import visiting
from tests.console.served import OWNER, Console


async def test_from_a_key_to_the_first_reply_and_out(console: Console, chromium: Browser) -> None:
    async with visiting(chromium, console.url, console.sign_in()) as visitor:
        page = visitor.page
        await visitor.go(f"/p/{console.project_id}/settings/models", "Models")
        await page.get_by_label("Model id").fill("test/echo")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("button", name="Save")).to_be_hidden()
        await page.get_by_role("link", name="Home").click()
        await page.get_by_role("button", name="Make a key").click()
        words = await page.locator(".secret code").inner_text()
        assert words in await page.get_by_role("region", name="Make a smith").inner_text()
        async with httpx.AsyncClient(base_url=console.url, headers={"authorization": f"Bearer {words}"}) as api:
            smith = (await api.post("/v1/smiths", json={"external_id": "user-4711"})).json()["id"]
            await expect(page.get_by_role("region", name="Say something")).to_contain_text(smith)
            said = {"input": [{"role": "user", "content": "Hello to Ada"}]}
            assert (await api.post(f"/v1/smiths/{smith}/runs", json=said)).status_code < 300
        await expect(page.locator(".reply")).to_contain_text("Hello to Ada")
        await expect(page.get_by_label("Done")).to_have_count(3)
        assert await page.evaluate("document.cookie") == "", "no script reads the session"
        await page.get_by_role("button", name="Sign out").click()
        await expect(page).to_have_url(re.compile("/sign-in$"))
        await page.goto(f"/p/{console.project_id}")
        await expect(page).to_have_url(re.compile("/sign-in"))
        assert visitor.complaints == []


async def test_a_key_is_made_shown_once_and_revoked(console: Console, chromium: Browser) -> None:
    async with visiting(chromium, console.url, console.sign_in()) as visitor:
        page = visitor.page
        await visitor.go(f"/p/{console.project_id}/settings/api-keys", "API keys")
        await page.get_by_role("button", name="New key").first.click()
        await page.get_by_role("dialog").get_by_label("Name", exact=True).fill("Nightly import")
        await page.get_by_role("button", name="Create key").click()
        secret = page.locator("#token-once .secret code")
        await expect(secret).to_contain_text("tha_live_")
        await page.keyboard.press("Escape")
        await expect(secret).to_be_visible()
        await page.get_by_role("button", name="Copy the secret").click()
        assert await page.evaluate("navigator.clipboard.readText()") == await secret.inner_text()
        await page.get_by_role("button", name="I have stored it").click()
        await page.get_by_role("button", name="Revoke Nightly import").click()
        await page.get_by_role("button", name="Revoke", exact=True).click()
        row = page.get_by_role("row", name="Nightly import")
        await expect(row).to_contain_text("revoked")
        assert "tha_live_ey" not in await page.content() or await secret.inner_text() == ""
        assert visitor.complaints == []


async def test_everything_is_reached_by_keyboard(console: Console, chromium: Browser) -> None:
    async with visiting(chromium, console.url, console.sign_in()) as visitor:
        page = visitor.page
        await visitor.go(f"/p/{console.project_id}/settings/models", "Models")
        await page.keyboard.press("g")
        await page.keyboard.press("h")
        await expect(page.get_by_role("heading", name="Home", level=1)).to_be_visible()
        await page.keyboard.press("Control+k")
        await page.keyboard.type("api ke")
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="API keys", level=1)).to_be_visible()
        await page.keyboard.press("Control+k")
        await page.keyboard.press("Escape")
        await expect(page.locator("#palette")).to_be_hidden()
        assert visitor.complaints == []


async def test_who_leaves_with_changes_is_asked(console: Console, chromium: Browser) -> None:
    async with visiting(chromium, console.url, console.sign_in()) as visitor:
        page = visitor.page
        await visitor.go(f"/p/{console.project_id}/settings/project", "Project")
        await expect(page.get_by_role("button", name="Save")).to_be_hidden()
        name = page.get_by_role("main").locator("input[name=name]").first
        await name.fill("Help desk")
        asked: list[str] = []

        async def stay(dialog: object) -> None:
            asked.append(dialog.message)  # type: ignore[attr-defined]
            await dialog.dismiss()  # type: ignore[attr-defined]

        page.on("dialog", stay)
        await page.get_by_role("link", name="Models").click()
        assert len(asked) == 1
        await expect(name).to_have_value("Help desk")
        await page.get_by_role("button", name="Discard").click()
        await page.get_by_role("button", name="Delete project …").click()
        await expect(page.get_by_role("button", name="Delete project", exact=True)).to_be_disabled()
        await page.get_by_label("to confirm").fill("Support desk")
        await expect(page.get_by_role("button", name="Delete project", exact=True)).to_be_enabled()


async def test_a_revoked_session_is_out_at_once_in_an_open_tab(console: Console, chromium: Browser) -> None:
    async with visiting(chromium, console.url, console.sign_in()) as visitor:
        await visitor.go(f"/p/{console.project_id}", "Home")
        await expect(visitor.page.locator("#who")).to_have_text(OWNER["email"])
        await visitor.context.request.post("/auth/sign-out", max_redirects=0)
        await expect(visitor.page).to_have_url(re.compile("/sign-in"), timeout=2000)


async def test_what_is_not_there_says_so(console: Console, chromium: Browser) -> None:
    async with visiting(chromium, console.url, console.sign_in()) as visitor:
        await visitor.go("/p/proj_elsewhere", "Not here")
        assert visitor.complaints == []
        await visitor.go("/nowhere", "Not here")
        assert await visitor.barriers() == []


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing(console: Console, chromium: Browser, theme: str) -> None:
    async with visiting(chromium, console.url, console.sign_in()) as visitor:
        page = visitor.page
        await page.add_init_script(f"localStorage.setItem('theme', '{theme}')")
        root = f"/p/{console.project_id}"
        found: list[str] = []
        pages = {
            "/sign-in?error=sign_in_failed": "Sign in",
            root: "Home",
            f"{root}/agents": "Agents",
            f"{root}/smiths": "Smiths",
            f"{root}/runs": "Runs",
            f"{root}/settings/project": "Project",
            f"{root}/settings/models": "Models",
            "/account": "Ada Lovelace",
            f"{root}/settings/api-keys": "API keys",
        }
        for path, heading in pages.items():
            await visitor.go(path, heading)
            found += await visitor.barriers()
        for button in ("New key", "Code", "Go to …", "Support desk"):
            await page.get_by_role("button", name=button).first.click()
            found += await visitor.barriers()
            await page.keyboard.press("Escape")
        await page.set_viewport_size({"width": 390, "height": 800})
        await page.get_by_role("button", name="Menu").click()
        found += await visitor.barriers()
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        assert found == []
        assert visitor.complaints == []


async def test_a_leaked_tab_token_shows_nothing(console: Console) -> None:
    cookie, token = console.sign_in(), str(uuid.uuid4())
    mine = {"Cookie": f"ingram_session={cookie}"}
    assert OWNER["email"] in await _hydrate(console, token, mine)
    stolen = await _hydrate(console, token, {})
    assert OWNER["email"] not in stolen
    assert "/sign-in" in stolen
    assert OWNER["email"] in await _hydrate(console, token, mine)


async def test_a_forged_handshake_does_not_sign_in(console: Console) -> None:
    shown = await _hydrate(console, str(uuid.uuid4()), {"Authorization": digest(console.sign_in())})
    assert OWNER["email"] not in shown
    assert "/sign-in" in shown


async def _hydrate(console: Console, token: str, headers: dict[str, str]) -> str:
    """Open a tab as a program would, and return what it is shown until it knows who it is or has to leave."""
    path = f"/p/{console.project_id}"
    event = {
        "name": "reflex___state____state.hydrate_and_load",
        "payload": {"vars": {}},
        "router_data": {"pathname": path, "asPath": path, "query": {}},
        "token": token,
    }
    address = f"{console.url.replace('http', 'ws')}/_event/?token={token}&EIO=4&transport=websocket"
    shown = ""
    async with asyncio.timeout(5), websockets.connect(address, additional_headers=headers, max_size=None) as tab:
        assert str(await tab.recv()).startswith("0")
        await tab.send("40/_event,")
        await tab.send(f"42/_event,{json.dumps(['event', event])}")
        while OWNER["email"] not in shown and "/sign-in" not in shown:
            shown += str(await tab.recv())
    return shown
