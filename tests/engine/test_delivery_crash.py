"""Whatever dies between a change and its delivery, the event arrives."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from standardwebhooks import Webhook

from ingram_app.core.cluster import Cluster
from tests.fakes.collector import collecting
from tests.fakes.receiver import Receiver, receiving
from tests.serving import Serving
from tests.world import until


class Installation:
    """A serving process with one project, whose webhook is at a receiver."""

    def __init__(self, serving: Serving, receiver: Receiver, made: dict[str, str]) -> None:
        self.serving, self.receiver = serving, receiver
        headers = {"authorization": f"Bearer {made['tenant_token']}"}
        self.api = httpx.AsyncClient(base_url=serving.url, headers=headers, timeout=30)

    async def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = await self.api.post(path, json=body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    async def restart(self) -> None:
        """Kill the server and its workers as a lost machine would be, and start another."""
        await asyncio.to_thread(self.serving.kill)
        self.receiver.instead["/hang"] = "ok"
        await asyncio.to_thread(self.serving.start)

    def end_holds(self) -> None:
        """Have the holds of the dead end now, and not in half a minute."""
        with Cluster(self.serving.data / "postgres").running() as url, psycopg.connect(url, autocommit=True) as owner:
            owner.execute("update webhooks set busy_until = now()")
            owner.execute("update trace_exports set busy_until = now()")


@pytest.fixture(scope="module")
async def installation(folder: Path) -> AsyncIterator[Installation]:
    serving = Serving(folder / "post", IC_RUN_LEASE_SECONDS="1", IC_ALLOW_PRIVATE_ADDRESSES="true")
    await asyncio.to_thread(serving.start)
    async with receiving() as receiver:
        made = await asyncio.to_thread(serving.bootstrap)
        installation = Installation(serving, receiver, made)
        yield installation
        await installation.api.aclose()
        await asyncio.to_thread(serving.stop)


async def test_what_was_under_way_when_the_server_was_killed_is_sent_again_and_what_waited_follows(
    installation: Installation,
) -> None:
    receiver = installation.receiver
    hook = await installation.post("/v1/tenant/webhooks", url=f"{receiver.address}/hang", events=["smith"])
    smiths = [(await installation.post("/v1/smiths", external_id=f"user-{n}"))["id"] for n in range(5)]

    async def under_way() -> bool:
        return receiver.hanging == 1

    await until(under_way)
    await installation.restart()
    await asyncio.to_thread(installation.end_holds)

    async def all_came() -> bool:
        return {event["smith_id"] for event in receiver.told("/hang")} == set(smiths) and len(receiver.heard) >= 6

    await until(all_came, 20)
    told = receiver.told("/hang")
    assert [event["smith_id"] for event in told] == [smiths[0], *smiths]
    assert told[0]["id"] == told[1]["id"]
    for request in receiver.heard:
        assert Webhook(hook["secret"]).verify(request.body, request.headers)
    listed = (await installation.api.get(f"/v1/tenant/webhooks/{hook['id']}/deliveries")).json()["data"]
    assert [row["attempts"] for row in reversed(listed)] == [2, 1, 1, 1, 1]


async def test_no_event_is_lost_that_was_told_just_before_the_server_was_killed(installation: Installation) -> None:
    receiver = installation.receiver
    await installation.post("/v1/tenant/webhooks", url=f"{receiver.address}/ok", events=["smith"])
    told: list[str] = []

    async def tell_on() -> None:
        while True:
            try:
                told.append((await installation.post("/v1/smiths"))["id"])
            except httpx.TransportError:
                return

    async def enough() -> bool:
        return len(told) >= 20

    telling = [asyncio.create_task(tell_on()) for _ in range(3)]
    await until(enough, 20)
    restarting = asyncio.create_task(installation.restart())
    await asyncio.gather(*telling)
    await restarting
    await asyncio.to_thread(installation.end_holds)

    async def all_came() -> bool:
        return set(told) <= {event["smith_id"] for event in receiver.told("/ok")}

    await until(all_came, 20)


async def test_every_run_is_exported_though_the_server_was_killed_while_they_ran_and_were_sent(
    installation: Installation,
) -> None:
    api = installation.api
    async with collecting() as collector:
        collector.hangs = True
        assert (await api.put("/v1/tenant/trace_export", json={"endpoint": collector.address})).is_success
        said = {"input": [{"role": "user", "content": "one two three"}], "background": True}
        run_ids = []
        for model in ("test/echo", "test/slow", "test/slow", "test/echo", "test/slow"):
            smith = (await installation.post("/v1/smiths", model=model))["id"]
            run_ids.append((await installation.post(f"/v1/smiths/{smith}/runs", **said))["id"])

        async def under_way() -> bool:
            return collector.hanging == 1

        await until(under_way, 20)
        collector.hangs = False
        await installation.restart()
        await asyncio.to_thread(installation.end_holds)

        async def all_came() -> bool:
            return all(collector.of_run(run_id) for run_id in run_ids)

        await until(all_came, 30)
        for run_id in run_ids:
            shown = (await api.get(f"/v1/runs/{run_id}/trace")).json()["spans"]
            assert {heard.id for heard in collector.of_run(run_id)} == {span["id"] for span in shown}
