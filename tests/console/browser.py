"""A real browser, on loopback alone, and what it complains about.

Playwright's asynchronous side: its other one keeps a loop running, in which no other asynchronous test could run.
"""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright

_FLAGS = [
    "--no-sandbox",  # root, in a container
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1",
]
_axe = Axe()


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """Open the machine's own Chromium, or the one that Playwright has brought."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        yield browser
        await browser.close()


_STANDS_STILL = (
    "document.getAnimations().every(one => one.playState !== 'running'"
    " || one.effect.getComputedTiming().iterations === Infinity)"
)


class Visitor:
    """A person with a browser window, and all it complains about."""

    def __init__(self, context: BrowserContext, page: Page, url: str) -> None:
        self.context = context
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.url, self.url.replace("http", "ws"), "data:", "blob:")):
            self.complaints.append(f"asked for {request.url}")

    async def go(self, path: str, heading: str) -> None:
        """Go to a page, and wait until it stands there."""
        await self.page.goto(path)
        await self.page.get_by_role("heading", name=heading, level=1, exact=True).wait_for()

    async def barriers(self) -> list[str]:
        """Return what axe finds in the way of people, once nothing fades in or out any more."""
        await self.page.wait_for_function(_STANDS_STILL)
        found = await _axe.run(self.page)
        return [
            f"{self.page.url} {violation['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
            for violation in found.response["violations"]
            for node in violation["nodes"]
        ]


@asynccontextmanager
async def visiting(browser: Browser, url: str, cookie: str = "") -> AsyncIterator[Visitor]:
    """Open a window of its own, signed in with a session's cookie if there is one."""
    context = await browser.new_context(base_url=url, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(10_000)
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    if cookie:
        await context.add_cookies([{"name": "ingram_session", "value": cookie, "url": url, "httpOnly": True}])
    yield Visitor(context, await context.new_page(), url)
    await context.close()
