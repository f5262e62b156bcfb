"""Customers: programs that start, stream, follow and cancel runs, and go to another server when theirs is gone."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.engine.client import LAST, Heard, frames_of

SAID = (
    "[[words 12]] [[pause 20ms]] on and on",
    "[[words 3]] [[pause 0ms]] in short",
    "[[words 60]] [[pause 25ms]] at length and in depth",
    '[[call add {"a": 1, "b": 2}]] [[call nothing {"n": 2} and add {"a": 3, "b": 4}]] [[pause 30ms]] with tools',
    '[[call add {"a": 1, "b": 2}]] [[call here {"n": 1} and here {"n": 2}]] [[call here {"n": 3}]] and then on',
)
DESIGN = {
    "model": "test/tools",
    "enabled_hosted_tools": ["calculator"],
    "client_tools": [{"name": "here", "description": "What the customer's own program does."}],
}
GONE = (httpx.HTTPError, asyncio.TimeoutError)


@dataclass
class Tally:
    """What all customers together have seen."""

    accepted: dict[str, str] = field(default_factory=dict)
    """Run by its Idempotency-Key."""
    cancelled: set[str] = field(default_factory=set)
    """Runs that somebody asked to stop."""
    results: Counter[str] = field(default_factory=Counter)
    """How often the result of each tool call was taken."""
    seen: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    """How many seconds each answer took that a server was not able to give."""

    def waited(self) -> dict[str, int]:
        """Return how long, in milliseconds, customers waited for an answer that was none."""
        waits = sorted(self.refusals)
        if not waits:
            return {}
        return {"ms to a 5xx, median": int(waits[len(waits) // 2] * 1000), "ms to a 5xx, most": int(waits[-1] * 1000)}


class Customer:
    """One smith and its threads. It takes turns until told to stop, and hears each one's stream to the end."""

    def __init__(self, name: str, urls: Sequence[str], token: str, chance: random.Random, tally: Tally) -> None:
        self._name = name
        self._urls = urls
        self._chance = chance
        self._tally = tally
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}"}, timeout=httpx.Timeout(20, connect=2)
        )
        self._turns = 0

    async def take_turns(self, smith_id: str, stop: asyncio.Event) -> None:
        """Take one turn after the other, now and then several of a thread at once."""
        async with self._http:
            while not stop.is_set():
                at_once = self._chance.choice((1, 1, 1, 3))
                thread_id = f"{self._name}-{self._chance.randrange(3)}"
                await asyncio.gather(*(self._turn(smith_id, thread_id) for _ in range(at_once)))

    async def _turn(self, smith_id: str, thread_id: str) -> None:
        self._turns += 1
        key = f"{self._name}-{self._turns}"
        body = {
            "input": [{"content": self._chance.choice(SAID)}],
            "thread_id": thread_id,
            "metadata": {"key": key},
            "background": self._chance.random() < 0.4,
        }
        heard = await self._start(smith_id, key, body)
        run_id = self._tally.accepted[key]
        cancels = self._chance.random() < 0.1
        if cancels:
            self._tally.cancelled.add(run_id)
        await self._follow(smith_id, run_id, heard, cancels=cancels)

    async def _start(self, smith_id: str, key: str, body: dict[str, Any]) -> list[Heard]:
        """Start a run, as often as it takes to know its id; return what was heard of it. Half of them are streams."""
        streams = not body["background"]
        patience = self._chance.randrange(1, 40)
        while True:
            heard: list[Heard] = []
            try:
                async with aclosing(self._post(smith_id, key, body | {"stream": streams})) as frames:
                    async for frame in frames:
                        self._tally.accepted[key] = frame.data["run_id"]
                        if frame.event != "run.duplicate":
                            heard.append(frame)
                        if len(heard) >= patience:  # goes away in the middle
                            break
            except GONE as failed:
                self._tally.seen[type(failed).__name__] += 1
            if key in self._tally.accepted:
                return heard
            await asyncio.sleep(self._chance.uniform(0.02, 0.3))

    async def _post(self, smith_id: str, key: str, body: dict[str, Any]) -> AsyncIterator[Heard]:
        path = f"{self._chance.choice(self._urls)}/v1/smiths/{smith_id}/runs"
        began = time.monotonic()
        async with self._http.stream("POST", path, json=body, headers={"Idempotency-Key": key}) as answer:
            self._tally.seen[f"HTTP {answer.status_code}"] += 1
            if not answer.is_success:
                await answer.aread()
                if answer.status_code >= 500:
                    self._tally.refusals.append(time.monotonic() - began)
                if answer.status_code not in (409, 500, 503):
                    self._tally.wrong.append(f"{key} was answered {answer.status_code}: {answer.text}")
                return
            if body["stream"]:
                async for frame in frames_of(answer):
                    yield frame
                return
            yield Heard(0, "run.duplicate", {"run_id": json.loads(await answer.aread())["id"]})

    async def _follow(self, smith_id: str, run_id: str, heard: list[Heard], *, cancels: bool) -> None:
        """Hear the run to its end at any server, and check that no frame is missing or comes twice."""
        path = f"/v1/smiths/{smith_id}/runs/{run_id}"
        while not (heard and heard[-1].event in LAST):
            server = self._chance.choice(self._urls)
            place = {"Last-Event-ID": str(heard[-1].seq if heard else 0)}
            try:
                if cancels:
                    await self._http.post(f"{server}{path}/submit", json={"kind": "cancel"})
                async with self._http.stream("GET", f"{server}{path}/events", headers=place) as answer:
                    if answer.is_success:
                        async for frame in frames_of(answer):
                            heard.append(frame)
                    else:
                        self._tally.seen[f"HTTP {answer.status_code}"] += 1
                        await asyncio.sleep(0.2)
                if heard and heard[-1].event == "run.paused":
                    await self._answer(path, heard)
            except GONE as failed:
                self._tally.seen[type(failed).__name__] += 1
                await asyncio.sleep(self._chance.uniform(0.02, 0.3))
        self._check(run_id, heard)

    async def _answer(self, path: str, heard: list[Heard]) -> None:
        """Submit the results that the run waits for, each to another server perhaps, and now and then twice."""
        asked = [frame.data for frame in heard if frame.event == "tool.required"]
        for call in self._chance.sample(asked, len(asked)):
            named = {"kind": "tool_result", "tool_call_id": call["tool_call_id"], "result": call["args"]}
            for _ in range(self._chance.choice((1, 1, 2))):
                answer = await self._http.post(f"{self._chance.choice(self._urls)}{path}/submit", json=named)
                self._tally.results[f"{path} {call['tool_call_id']}"] += answer.is_success
                self._tally.seen[f"result {answer.status_code}"] += 1

    def _check(self, run_id: str, heard: list[Heard]) -> None:
        numbers = [frame.seq for frame in heard]
        if numbers != list(range(1, len(numbers) + 1)):
            self._tally.wrong.append(f"{run_id} was heard as frames {numbers}")
        words = ""
        for frame in heard:
            match frame.event:
                case "message.delta":
                    words += frame.data["delta"]
                case "message.restarted":
                    self._tally.seen["message.restarted"] += 1
                    words = ""
                case "message.completed":
                    if words != frame.data["content"]:
                        self._tally.wrong.append(f"{run_id} said {words!r}, and then that it was {frame.data}")
                    words = ""
        self._tally.seen[heard[-1].event] += 1
