"""A console that is served, and how its first owner comes in."""

import re
from dataclasses import dataclass

import httpx
from playwright.async_api import expect

from tests.console.browser import Visitor
from tests.serving import Serving

OWNER = {"email": "ada@example.com", "password": "several words to remember"}


@dataclass
class Console:
    """A console that is served, with its first owner and one project."""

    serving: Serving
    project_id: str = ""

    @property
    def url(self) -> str:
        return self.serving.url

    def sign_in(self) -> str:
        """Return the cookie of a new session."""
        answer = httpx.post(f"{self.url}/auth/sign-in", data=OWNER)
        assert answer.headers["location"] == "/", answer.headers["location"]
        return answer.cookies["ingram_session"]


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
