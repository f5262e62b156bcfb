"""Extraction: after what each person said, does their smith hold what answers, and nothing that is no longer so?

It goes through the front door. A real server runs each turn on a real model, which then learns from it as it does for
any customer; the turn begins with its day, since it is long over. A question is answered if a fact that is held has
the word of the answer and none has the stale one; one about what was never told, if none has what must be invented.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import httpx

from benchmarks.memory.dialogues import KINDS, Dialogue, Question, Turn
from benchmarks.memory.retrieval import Tally

PROVIDER = "measured"
"""What the model's endpoint is called in the project."""
_AT_ONCE = 4
_LEARNT_WITHIN_SECONDS = 180


class NothingLearnt(Exception):
    """A turn was not learnt from in time."""


async def measure(api: httpx.AsyncClient, model: str, people: Sequence[Dialogue]) -> dict[str, Tally]:
    """Return how many questions are answered by what was learnt, by kind. Raises `NothingLearnt`."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def learnt(person: Dialogue) -> list[str]:
        async with gate:
            return await _told(api, model, person)

    held = await asyncio.gather(*map(learnt, people))
    tallies: dict[str, Tally] = defaultdict(Tally, {kind: Tally() for kind in KINDS})
    for person, facts in zip(people, held, strict=True):
        for question in person.questions:
            tallies[question.kind].count(0 if is_answered(question, facts) else None)
    return tallies


def is_answered(question: Question, facts: Sequence[str]) -> bool:
    """Tell whether facts answer a question, with nothing stale beside."""
    said = [fact.casefold() for fact in facts]
    found = any(question.answer.casefold() in fact for fact in said)
    if not question.fact:
        return not found
    return found and not (question.stale and any(question.stale.casefold() in fact for fact in said))


async def _told(api: httpx.AsyncClient, model: str, person: Dialogue) -> list[str]:
    """Say a person's turns to a smith of theirs, one after another; return the facts that it holds then."""
    smith = await _asked(api, "POST", "/v1/smiths", {"external_id": person.who, "model": model})
    for turn in person.turns:
        await _say(api, smith["id"], turn)
    held = await _asked(api, "GET", f"/v1/smiths/{smith['id']}/memories?limit=200")
    return [fact["content"] for fact in held["data"]]


async def _say(api: httpx.AsyncClient, smith_id: str, turn: Turn) -> None:
    words = f"Today is {turn.day}. {turn.words}"
    run = await _asked(api, "POST", f"/v1/smiths/{smith_id}/runs", {"input": [{"role": "user", "content": words}]})
    for _ in range(_LEARNT_WITHIN_SECONDS * 2):
        trace = await _asked(api, "GET", f"/v1/runs/{run['id']}/trace")
        spans = [span for span in trace["spans"] if span["kind"] == "memory_op"]
        if spans and all(span["ended_at"] for span in spans):
            return
        await asyncio.sleep(0.5)
    raise NothingLearnt(f"nothing was learnt from run {run['id']}: {words}")


async def _asked(api: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = await api.request(method, path, json=body)
    if not answer.is_success:
        raise httpx.HTTPStatusError(answer.text, request=answer.request, response=answer)
    return dict(answer.json())
