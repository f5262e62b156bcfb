"""A customer's program, as the engine's tests need one: it starts runs over HTTP and watches them."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

LAST = {"run.completed", "run.failed", "run.cancelled"}


@dataclass(frozen=True)
class Heard:
    """One frame, as it came over the wire."""

    seq: int
    event: str
    data: dict[str, Any]


@dataclass
class Story:
    """What one watcher has heard of one run, over as many connections as it took."""

    frames: list[Heard] = field(default_factory=list)

    @property
    def run_id(self) -> str:
        return str(self.frames[0].data["run_id"])

    @property
    def place(self) -> int:
        return self.frames[-1].seq if self.frames else 0

    @property
    def ended(self) -> bool:
        return bool(self.frames) and self.frames[-1].event in LAST

    @property
    def words(self) -> str:
        """The deltas joined, as a watcher joins them who honours `message.restarted`."""
        return joined([(frame.event, frame.data) for frame in self.frames])

    def named(self, event: str) -> list[Heard]:
        return [frame for frame in self.frames if frame.event == event]

    def is_whole(self) -> bool:
        """Nothing lost, nothing twice, and the words are those of the answer."""
        assert [frame.seq for frame in self.frames] == list(range(1, len(self.frames) + 1))
        assert self.frames[0].event == "run.started"
        assert self.frames[-1].event == "run.completed", self.frames[-1]
        [answer] = self.named("message.completed")
        assert self.words == answer.data["content"]
        return True


def joined(frames: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """Return the words of the last message."""
    words = ""
    for event, data in frames:
        if event == "message.restarted":
            words = ""
        elif event == "message.delta":
            words += data["delta"]
    return words


class Client:
    """Talks to one server with one token."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30)

    async def smith(self, model: str) -> str:
        made = await self._http.post("/v1/smiths", json={"model": model})
        assert made.is_success, made.text
        return str(made.json()["id"])

    async def run(self, smith_id: str, said: str, **how: Any) -> dict[str, Any]:
        answer = await self._http.post(f"/v1/smiths/{smith_id}/runs", json=_turn(said, how))
        assert answer.is_success, answer.text
        return dict(answer.json())

    async def find(self, smith_id: str, run_id: str) -> dict[str, Any]:
        return dict((await self._http.get(f"/v1/smiths/{smith_id}/runs/{run_id}")).json())

    async def cancel(self, smith_id: str, run_id: str) -> httpx.Response:
        return await self._http.post(f"/v1/smiths/{smith_id}/runs/{run_id}/submit", json={"kind": "cancel"})

    async def stream(self, smith_id: str, said: str, **how: Any) -> AsyncIterator[Heard]:
        """Start a run and yield its frames."""
        path = f"/v1/smiths/{smith_id}/runs"
        async with self._http.stream("POST", path, json=_turn(said, how) | {"stream": True}) as answer:
            async for frame in frames_of(answer):
                yield frame

    async def follow(self, smith_id: str, run_id: str, after: int = 0) -> AsyncIterator[Heard]:
        """Yield a run's frames past `after`."""
        path = f"/v1/smiths/{smith_id}/runs/{run_id}/events"
        async with self._http.stream("GET", path, headers={"Last-Event-ID": str(after)}) as answer:
            async for frame in frames_of(answer):
                yield frame

    async def finish(self, smith_id: str, story: Story) -> Story:
        """Come back after a break, as often as it takes, and hear the rest."""
        while not story.ended:
            try:
                async for frame in self.follow(smith_id, story.run_id, story.place):
                    story.frames.append(frame)
            except httpx.TransportError:
                continue
        return story

    async def close(self) -> None:
        await self._http.aclose()


async def hear(story: Story, frames: AsyncIterator[Heard], deltas: int) -> None:
    """Listen until so many deltas have come."""
    async for frame in frames:
        story.frames.append(frame)
        if len(story.named("message.delta")) == deltas:
            return


def _turn(said: str, how: dict[str, Any]) -> dict[str, Any]:
    return {"input": [{"content": said}], **how}


async def frames_of(answer: httpx.Response) -> AsyncIterator[Heard]:
    """Yield the frames of an event stream."""
    if not answer.is_success:
        await answer.aread()
        raise AssertionError(answer.text)
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "event" in fields:
            yield Heard(int(fields.get("id", 0)), fields["event"], json.loads(fields["data"]))
            fields = {}
