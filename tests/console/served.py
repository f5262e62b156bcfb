"""A console that is served, and how its first owner comes in."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from playwright.async_api import Browser, Page, expect

from tests.console.browser import Visitor, visiting
from tests.fakes.stripe_server import StripeServer
from tests.serving import Serving

OWNER = {"email": "ada@example.com", "password": "several words to remember"}


_WIDE_LISTS = (
    "[...document.querySelectorAll('.table-wrap:has(> .list)')].filter(one => one.scrollWidth > one.clientWidth).length"
)


@dataclass
class Console:
    """A console that is served, with its first owner and one project."""

    serving: Serving
    stripe: StripeServer
    project_id: str = ""

    @property
    def url(self) -> str:
        return self.serving.url

    def sign_in(self) -> str:
        """Return the cookie of a new session."""
        answer = httpx.post(f"{self.url}/auth/sign-in", data=OWNER)
        assert answer.headers["location"] == "/", answer.headers["location"]
        return answer.cookies["ingram_session"]


@dataclass
class Window:
    """A project of a console that is served, a window in which an owner is signed in, and a program with a key."""

    visitor: Visitor
    api: httpx.AsyncClient
    root: str
    """Where the project's pages are."""

    @property
    def page(self) -> Page:
        return self.visitor.page

    async def smith(self, **fields: Any) -> str:
        answer = await self.api.post("/v1/smiths", json={"model": "test/slow", **fields})
        return str(answer.json()["id"])

    async def start(self, smith_id: str, said: str) -> str:
        asked = {"input": [{"role": "user", "content": said}], "background": True}
        return str((await self.api.post(f"/v1/smiths/{smith_id}/runs", json=asked)).json()["id"])

    async def status(self, smith_id: str, run_id: str) -> str:
        return str((await self.api.get(f"/v1/smiths/{smith_id}/runs/{run_id}")).json()["status"])

    async def barriers_on(self, pages: dict[str, str]) -> list[str]:
        """Return what axe finds on pages, each by its heading; they and their lists fit on a telephone."""
        found: list[str] = []
        for path, heading in pages.items():
            await self.visitor.go(path, heading)
            await expect(self.page.locator(".skeleton")).to_have_count(0)
            found += await self.visitor.barriers()
            await self.page.set_viewport_size({"width": 390, "height": 800})
            assert await self.page.evaluate("document.documentElement.scrollWidth") <= 390, path
            assert await self.page.evaluate(_WIDE_LISTS) == 0, path
            await self.page.set_viewport_size({"width": 1280, "height": 800})
        return found


@asynccontextmanager
async def seated(console: Console, pages: dict[str, str], chromium: Browser) -> AsyncIterator[Window]:
    """Open a window of its own; nothing may have complained by its end."""
    headers = {"authorization": f"Bearer {pages['tenant_token']}"}
    async with (
        visiting(chromium, console.url, pages["cookie"]) as visitor,
        httpx.AsyncClient(base_url=console.url, headers=headers) as api,
    ):
        yield Window(visitor, api, f"/p/{pages['project_id']}")
        assert visitor.complaints == []


async def come_in(visitor: Visitor, serving: Serving) -> str:
    page = visitor.page
    link = re.search(r"http\S+(/welcome\?link=\w+)", serving.said)
    assert link, serving.said
    await visitor.go(link[1], "Welcome")
    assert await visitor.barriers() == []
    await page.get_by_label("Organization").fill(" ")
    await page.get_by_label("Your name").fill("Ada Lovelace")
    await page.get_by_label("E-mail address").fill(OWNER["email"])
    await page.get_by_label("Password").fill(OWNER["password"])
    await page.get_by_role("button", name="Create the account").click()
    await expect(page.get_by_role("alert")).to_have_text("A name has from 1 to 120 characters.")
    await page.get_by_label("Organization").fill("Analytical Engines")
    await page.get_by_label("Password").fill(OWNER["password"])
    await page.get_by_role("button", name="Create the account").click()
    await page.get_by_role("main").get_by_role("button", name="New project").click()
    await page.get_by_role("dialog").get_by_label("Name").fill("Support desk")
    await page.get_by_role("button", name="Create project").click()
    await expect(page).to_have_url(re.compile(r"/p/proj_\w+$"))
    project_id = page.url.rpartition("/")[2]
    await page.goto(link[1])
    await expect(page.get_by_role("heading", name="This link is spent")).to_be_visible()
    assert visitor.complaints == []
    return project_id
