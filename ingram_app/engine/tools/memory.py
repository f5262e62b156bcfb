"""Memory: a fact written down, and what of the smith's memory a question is about. Never another smith's."""

from typing import Any

from ingram_app.core.database import transaction
from ingram_app.core.errors import IngramError
from ingram_app.domain import access, memories, recalling
from ingram_app.domain.access import Caller
from ingram_app.domain.memories import Fact
from ingram_app.domain.recalling import Recalled
from ingram_app.engine.tools.tool import Deed, ToolRefused, Use


async def _remember(use: Use, arguments: dict[str, Any]) -> dict[str, str]:
    caller, given = _as_smith(use), dict(arguments)
    replaced = given.pop("replaces", None)
    fact = Fact(**given, source_run_id=use.run.id, id=_id_of(use))
    try:
        async with transaction(caller.tenancy) as session:
            held, _ = await memories.write(session, caller, caller.smith_id, fact, supersedes=replaced)
    except IngramError as why:
        raise ToolRefused(why.sentence) from None
    return {"id": held.id, "content": held.content}


async def _recall(use: Use, arguments: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
    caller, limit = _as_smith(use), arguments.get("limit", 5)
    try:
        facts = await recalling.facts(caller, caller.smith_id, arguments["query"], limit)
        turns = await recalling.turns(caller, caller.smith_id, arguments["query"], limit)
    except IngramError as why:
        raise ToolRefused(why.sentence) from None
    return {
        "facts": [{"id": fact.id} | _told(fact) for fact in facts],
        "turns": [{"thread_id": turn.thread_id or ""} | _told(turn) for turn in turns],
    }


def _told(found: Recalled) -> dict[str, str]:
    return {"content": found.content, "at": f"{found.created_at:%Y-%m-%d %H:%M}"}


def _as_smith(use: Use) -> Caller:
    return access.as_smith(use.run.project_id, use.run.smith_id, "memories:read", "memories:write")


def _id_of(use: Use) -> str:
    """Return the id of what this one use writes down, however often it is tried."""
    return f"mem_{use.idempotency_id.partition('_')[2]}"


DEEDS: dict[str, Deed] = {"remember": _remember, "recall": _recall}
