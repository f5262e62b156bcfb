"""Prompts: what a run's model was told, word for word: instructions, summary, earlier turns, notes
on the person, and the run's own.

It is put together again from what is kept: a turn that was taken out of the history or deleted since is not in it.
"""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import execute
from ingram_app.domain import retrievals, runs, speech, transcripts
from ingram_app.domain.access import Caller
from ingram_app.domain.runs import Run
from ingram_app.domain.speech import Message
from ingram_app.domain.tool_calls import NOTICE


@dataclass(frozen=True, slots=True)
class Prompt:
    instructions: str | None
    summary: str | None
    """Of the turns before the earlier ones."""
    notes: str | None
    """What of the smith's memory stood just before the run's own words."""
    earlier: list[Message]
    """Those of the thread's turns that were told, oldest first."""
    own: list[Message]
    """What the run has added: its input, the answers, the tools' results."""


_EARLIER = text(
    "select t.run_id, r.created_at, t.messages from transcripts t join runs r on r.id = t.run_id"
    " where t.project_id = :project_id and t.smith_id = :smith_id and t.thread_id = :thread_id and t.complete"
    " and t.turn >= :since and t.turn < :turn order by t.turn"
)
_SUMMARY = text(
    "select text from summaries where project_id = :project_id and smith_id = :smith_id and thread_id = :thread_id"
    " and reaches < :since order by reaches desc limit 1"
)


def instructions(run: Run) -> str | None:
    """Return what the smith is told to be: the same words for as long as the run lasts, whoever carries it."""
    rendered, plain = run.rendered_instructions, run.config.get("instructions")
    return plain if rendered is None else rendered


async def of_run(session: AsyncSession, caller: Caller, run_id: str) -> Prompt:
    """Return what the model of a run was told. Raises `NotFound`."""
    run = await runs.look_up(session, caller, run_id, may="traces:read")
    written = json.loads(await transcripts.of_run(session, run.project_id, run.id)) or run.input
    about: dict[str, Any] = next((message["metadata"] for message in written if _knows(message)), {})
    since = about.get("since_turn", run.turn)
    known = {"project_id": run.project_id, "smith_id": run.smith_id, "thread_id": run.thread_id, "since": since}
    rows = (await execute(session, _EARLIER, known | {"turn": run.turn})).all()
    found = await retrievals.of_run(session, run.project_id, run.id)
    return Prompt(
        instructions="\n\n".join(filter(None, [instructions(run), NOTICE if about.get("tools") else None])) or None,
        summary=(await execute(session, _SUMMARY, known)).scalar(),
        notes=found.told if found else None,
        earlier=[speech.read(message, earlier, at) for earlier, at, messages in rows for message in messages],
        own=[_read(run, message) for message in written],
    )


def _knows(message: dict[str, Any]) -> bool:
    return "since_turn" in (message.get("metadata") or {})


def _read(run: Run, message: dict[str, object]) -> Message:
    return speech.read(message, run.id, run.created_at)
