"""A walk from an event on the feed to the address it is sent to, served, with a receiver that is really there."""

import csv
import io
import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import expect
from standardwebhooks import Webhook

from tests.console.served import OWNER, Window
from tests.fakes.collector import Collector, collecting
from tests.fakes.receiver import Receiver, receiving
from tests.world import until


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


async def test_a_webhook_is_made_tried_fails_and_is_sent_again(window: Window, receiver: Receiver) -> None:
    page = window.page
    await window.visitor.go(f"{window.root}/settings/webhooks", "Webhooks")
    await page.get_by_role("button", name="New webhook").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Address").fill("ftp://nowhere")
    await dialog.get_by_label("every smith.…").check()
    await page.get_by_role("button", name="Create webhook").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("begins with https://")
    await dialog.get_by_label("Address").fill(f"{receiver.address}/ok")
    await page.get_by_role("button", name="Create webhook").click()
    shown = page.locator("#webhook-secret .secret code")
    await expect(shown).to_contain_text("whsec_")
    secret = await shown.inner_text()
    await page.get_by_role("button", name="I have stored it").click()
    row = page.locator("tr[data-row]")
    await expect(row).to_contain_text("smith")
    await row.click()
    await expect(page.get_by_role("heading", name=f"{receiver.address}/ok", level=1)).to_be_visible()
    await page.get_by_role("button", name="Send a test").click()
    sent = page.locator("table[aria-label=Deliveries] tbody tr")
    await expect(sent).to_have_count(1)
    await expect(sent.first.locator(".badge").first).to_have_text("delivered")
    [request] = receiver.heard
    assert Webhook(secret).verify(request.body, request.headers)["type"] == "webhook.test"
    receiver.instead["/ok"] = "fail"
    await window.smith(external_id="user-hook")
    await expect(sent).to_have_count(2)
    await expect(sent.first).to_contain_text("500")
    await expect(sent.first).to_contain_text("failed")
    await sent.first.get_by_role("button", name="Answer").click()
    await expect(page.get_by_role("dialog")).to_contain_text("not today")
    await page.keyboard.press("Escape")
    receiver.instead.clear()
    await sent.first.get_by_role("button", name="Redeliver").click()
    await expect(sent).to_have_count(3)
    await expect(sent.first).to_contain_text("again")
    await expect(sent.first).to_contain_text("delivered")
    await page.get_by_role("button", name="Rotate secret").click()
    await page.get_by_role("button", name="Make a new secret").click()
    await expect(shown).to_contain_text("whsec_")
    fresh = await shown.inner_text()
    assert fresh != secret
    await page.get_by_role("button", name="I have stored it").click()
    await page.get_by_role("button", name="Send a test").click()
    await expect(sent).to_have_count(4)
    await expect(sent.first).to_contain_text("delivered")
    for one in (secret, fresh):
        assert Webhook(one).verify(receiver.heard[-1].body, receiver.heard[-1].headers)
    await page.get_by_role("button", name="Switch off").click()
    await page.get_by_role("dialog").get_by_role("button", name="Switch off").click()
    await expect(page.get_by_role("button", name="Switch on")).to_be_visible()
    await sent.first.get_by_role("link", name="webhook.test").click()
    await expect(page.get_by_role("region", name="Payload")).to_contain_text('"type": "webhook.test"')


async def test_traces_are_exported_to_a_collector_and_spans_of_one_s_own_are_on_the_run_s_page(window: Window) -> None:
    page = window.page
    async with collecting() as collector:
        await window.visitor.go(f"{window.root}/settings/traces", "Trace export")
        await page.get_by_label("Endpoint").fill("ftp://nowhere")
        await page.get_by_label("Headers").fill("authorization: Bearer sk-very-secret")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("alert").filter(has_text="begins with https://")).to_be_visible()
        await page.get_by_label("Endpoint").fill(collector.address)
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("Kept, sealed: authorization.")).to_be_visible()
        await expect(page.get_by_label("Endpoint")).to_have_value(f"{collector.address}/v1/traces")
        smith = await window.smith(model="test/echo")
        run_id = await window.start(smith, "hello")
        await until(lambda: _is_heard(collector, run_id))
        assert collector.requests[0].headers["authorization"] == "Bearer sk-very-secret"
        span = {"id": "0" * 15 + "1", "trace_id": run_id.replace("run_", "trc_"), "kind": "retrieval"}
        times = {"started_at": "2026-01-01T00:00:00Z", "duration_ms": 12}
        told = await window.api.post("/v1/traces:ingest", json={"spans": [span | times | {"name": "Look up the docs"}]})
        assert told.status_code == 202, told.text
        await window.visitor.go(f"{window.root}/runs/{run_id}", "Run")
        bar = page.locator(".waterfall").get_by_text("Look up the docs")
        await expect(bar).to_be_visible()
        await bar.click()
        await expect(page.locator(".waterfall details[open]")).to_contain_text("ingram.sent")
        await window.visitor.go(f"{window.root}/settings/traces", "Trace export")
        await expect(page.locator(".facts")).to_contain_text("active")
        await page.get_by_role("button", name="Switch off").click()
        await expect(page.locator(".facts")).to_contain_text("switched off")
        await page.get_by_role("button", name="Switch on").click()
        await expect(page.get_by_role("button", name="Switch off")).to_be_visible()
        await page.get_by_role("button", name="Remove", exact=True).click()
        await page.get_by_role("button", name="Remove the export").click()
        await expect(page.get_by_text("Nothing is exported yet.")).to_be_visible()


async def _is_heard(collector: Collector, run_id: str) -> bool:
    return bool(collector.of_run(run_id))


async def test_an_event_appears_while_one_looks_and_is_shown_as_it_was_told(window: Window) -> None:
    page = window.page
    first = await window.smith(external_id="user-seen")
    await window.visitor.go(f"{window.root}/events?type=smith", "Events")
    rows = page.locator("tr[data-row]")
    await expect(rows.first).to_contain_text("user-seen")
    number = await rows.count()
    await window.smith(external_id="user-fresh")
    await page.get_by_role("button", name="1 new").click()
    await expect(rows).to_have_count(number + 1)
    await expect(rows.first).to_contain_text("user-fresh")
    await rows.nth(1).click()
    await expect(page).to_have_url(re.compile(r"/events/evt_\w+$"))
    payload = page.get_by_role("region", name="Payload")
    await expect(payload).to_contain_text(f'"smith_id": "{first}"')
    [event] = (await window.api.get(f"/v1/events?smith_id={first}")).json()["data"]
    assert event == await page.evaluate("text => JSON.parse(text)", await payload.inner_text())
    await window.visitor.go(f"{window.root}/events/evt_elsewhere", "Not here")


async def test_the_audit_log_is_read_filtered_and_taken_away(window: Window) -> None:
    page = window.page
    await window.visitor.go(f"{window.root}/settings/audit-log", "Audit log")
    rows = page.locator("tbody tr")
    await page.get_by_label("Action, such as webhook").fill("session")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"action=session"))
    await expect(rows.first).to_contain_text("session.begun")
    await rows.first.get_by_role("button", name="Details").click()
    await expect(page.get_by_role("dialog")).to_contain_text(OWNER["email"])
    await page.keyboard.press("Escape")
    async with page.expect_download() as waiting:
        await page.get_by_role("button", name="Export CSV").click()
    download = await waiting.value
    assert download.suggested_filename == "audit-log.csv"
    text = (await download.path()).read_text()
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    assert {row["action"].partition(".")[0] for row in found} == {"session"}
    assert len(found) >= await rows.count()


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing(window: Window, receiver: Receiver, theme: str) -> None:
    page = window.page
    await page.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    body = {"url": f"{receiver.address}/fail/{theme}", "events": ["smith"]}
    hook = (await window.api.post("/v1/tenant/webhooks", json=body)).json()
    await window.smith(external_id=f"axe-{theme}")
    event = (await window.api.get("/v1/events")).json()["data"][0]
    pages = {
        f"{window.root}/events": "Events",
        f"{window.root}/events?type=agent": "Events",
        f"{window.root}/events/{event['id']}": event["type"],
        f"{window.root}/settings/webhooks": "Webhooks",
        f"{window.root}/settings/webhooks/{hook['id']}": hook["url"],
        f"{window.root}/settings/audit-log": "Audit log",
        f"{window.root}/settings/traces": "Trace export",
        f"{window.root}/settings/project": "Project",
    }
    export = {"endpoint": "https://otel.example.com", "headers": {"x-key": "1"}}
    assert (await window.api.put("/v1/tenant/trace_export", json=export)).is_success
    found = await window.barriers_on(pages)
    await window.visitor.go(f"{window.root}/settings/audit-log", "Audit log")
    await page.get_by_role("button", name="Details").first.click()
    found += await window.visitor.barriers()
    await window.visitor.go(f"{window.root}/settings/webhooks/{hook['id']}", hook["url"])
    for opener in ("Edit", "Rotate secret", "Answer"):
        await page.get_by_role("button", name=opener).first.click()
        found += await window.visitor.barriers()
        await page.keyboard.press("Escape")
    assert found == []
