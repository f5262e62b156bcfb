"""Recalling: what of a smith's memory a question is about, by meaning and by words.

The two orders are fused by reciprocal rank (Cormack, Clarke and Büttcher, 2009): a thing's score is the sum of
1 / (60 + its rank) over both, made to be 1 for what stands first in both. Of words only the rare ones count, the rarer
the more: in the fused order any word weighs as much as the meaning of the whole. Only the smith's own rows are looked
at, found by an index: other smiths cost nothing.

Here transactions are opened, not handed in: between them the question is embedded, which may be somebody's network.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import execute, transaction
from ingram_app.core.errors import IngramError, Invalid
from ingram_app.domain import model_keys, projects, recollections, smiths, vectors
from ingram_app.domain.access import Caller
from ingram_app.domain.vectors import Kind
from ingram_app.gateways import embeddings
from ingram_app.gateways.providers import Credential

MOST = 100
QUERY_LENGTH = 4000
EMBEDDED_AT_ONCE = 200
"""Texts that a search embeds, should they not be yet."""
_RANKED = 50
"""What of each order counts."""
_FIRST = 2 / 61
_RARE, _RARE_SHARE = 2, 50
"""A word counts if it stands in so few of the smith's things, or in one of so many: `the` tells nothing."""


class InvalidQuery(Invalid):
    """What is asked for has from 1 to 4000 characters, and `limit` is from 1 to 100."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """A fact or a past turn with how well it answers, from 0 to 1."""

    id: str
    content: str
    score: float
    thread_id: str | None
    """Of a past turn."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Embedding:
    """With which model a smith's memory is embedded, and what opens it."""

    model: str
    credential: Credential | None


async def facts(caller: Caller, smith_id: str, query: str, limit: int = 10) -> list[Recalled]:
    """Return the facts that a question is about, the best first.

    Raises `SmithMismatch`, `NotFound`, `InvalidQuery`; of what embeds it only that the words alone have to do.
    """
    return await _search(caller, smith_id, "fact", query, limit)


async def turns(caller: Caller, smith_id: str, query: str, limit: int = 10) -> list[Recalled]:
    """Return the past turns that a question is about, the best first. Raises as `facts` does."""
    return await _search(caller, smith_id, "turn", query, limit)


async def embed_new(caller: Caller, smith_id: str, kind: Kind, at_once: int = EMBEDDED_AT_ONCE) -> int:
    """Embed what of a smith is not yet embedded with the project's model; return how many texts that were."""
    async with transaction(caller.tenancy) as session:
        await smiths.embody(session, caller, smith_id, stays=True)
        wanted = await embedding(session, caller.project_id, smith_id)
        if kind == "turn":
            await recollections.catch_up(session, caller.project_id, smith_id)
        new = await vectors.lacking(session, caller.project_id, smith_id, kind, wanted.model, at_once)
    if not new:
        return 0
    found = await embeddings.embed(wanted.model, wanted.credential, [thing.content for thing in new])
    async with transaction(caller.tenancy) as session:
        await smiths.embody(session, caller, smith_id, stays=True)
        pairs = list(zip(new, found, strict=True))
        await vectors.keep(session, caller.project_id, smith_id, kind, wanted.model, pairs)
    return len(new)


async def retire(session: AsyncSession, project_id: str, smith_id: str) -> None:
    """Forget a smith's vectors by other models than the project's, once that one has caught up."""
    wanted = (await projects.at(session, project_id)).embedding_model
    kinds: tuple[Kind, ...] = ("fact", "turn")
    if not any([await vectors.lacking(session, project_id, smith_id, kind, wanted, 1) for kind in kinds]):
        await vectors.forget_others(session, project_id, smith_id, wanted)


async def embedding(session: AsyncSession, project_id: str, smith_id: str, model: str | None = None) -> Embedding:
    """Return how a smith's memory is embedded, or how it would be with `model`."""
    wanted = model or (await projects.at(session, project_id)).embedding_model
    access = await model_keys.reach(session, project_id, smith_id, wanted)
    return Embedding(wanted, access.credential)


async def ranked(
    session: AsyncSession,
    project_id: str,
    smith_id: str,
    kind: Kind,
    query: str,
    model: str,
    vector: Sequence[float],
    limit: int,
) -> list[Recalled]:
    """Return what a question, and its `vector` by this `model`, is about; without a vector the words alone count."""
    known = {"project_id": project_id, "smith_id": smith_id, "query": query, "limit": limit}
    known |= {"model": model, "vector": vectors.spelt(vector) if vector else None, "ranked": _RANKED}
    rows = (await execute(session, _FUSED[kind], known)).all()
    return [Recalled(id, said, min(1.0, score / _FIRST), thread, at) for id, said, score, thread, at in rows]


async def serving(session: AsyncSession, project_id: str, smith_id: str, kind: Kind, wanted: str) -> Embedding | None:
    """Return how to embed what is to be compared with a smith's things; nothing when none has a vector."""
    model = await vectors.serving(session, project_id, smith_id, kind, wanted)
    return None if model is None else await embedding(session, project_id, smith_id, model)


async def _search(caller: Caller, smith_id: str, kind: Kind, query: str, limit: int) -> list[Recalled]:
    caller.require("memories:read")
    if not 1 <= len(query.strip()) <= QUERY_LENGTH or not 1 <= limit <= MOST:
        raise InvalidQuery(param="query" if 1 <= limit <= MOST else "limit")
    how = None
    async with transaction(caller.tenancy) as session:
        _, project = await smiths.summon(session, caller, smith_id)
        whose = (session, caller.project_id, smith_id, kind)
        if kind == "fact" and not await vectors.lacking(*whose, project.embedding_model, 1):
            with suppress(IngramError):
                how = await serving(*whose, project.embedding_model)
    model, vector = await _understood(caller, smith_id, kind, query, how)
    async with transaction(caller.tenancy) as session:
        return await ranked(session, caller.project_id, smith_id, kind, query, model, vector, limit)


async def _understood(
    caller: Caller, smith_id: str, kind: Kind, query: str, how: Embedding | None
) -> tuple[str, Sequence[float]]:
    """Return the question's vector and its model; no vector when there is nothing to compare, or it can not be had.

    Unless it is known `how`, what is new is embedded before.
    """
    try:
        if how is None:
            await embed_new(caller, smith_id, kind)
            async with transaction(caller.tenancy) as session:
                wanted = (await projects.at(session, caller.project_id)).embedding_model
                how = await serving(session, caller.project_id, smith_id, kind, wanted)
            if how is None:
                return "", []
        return how.model, (await embeddings.embed(how.model, how.credential, [query], as_queries=True))[0]
    except IngramError:
        return "", []  # the words alone have to do


_ASKED = (
    "asked as materialized (select cast(:vector as vector) as vector),"
    " terms as materialized (select lexeme from unnest(to_tsvector('simple', :query)))"
)
"""Read once: in a plan that is kept for other questions, it would be read anew for each row."""
_ALIVE: dict[Kind, str] = {
    "fact": "and thing.superseded_by is null and (thing.expires_at is null or thing.expires_at > now())",
    "turn": "",
}
_THREAD: dict[Kind, str] = {"fact": "null::text", "turn": "thing.thread_id"}


def _fused(kind: Kind) -> Any:
    table, key, column, _ = vectors.TABLES[kind]
    mine = f"thing.project_id = :project_id and thing.smith_id = :smith_id {_ALIVE[kind]}"
    return text(
        f"with {_ASKED}, near as (select thing.{key} as id, row_number() over (order by v.vector <=> (select vector"
        f" from asked)) as rank from {table} thing join vectors v on v.{column} = thing.{key} and v.model = :model"
        f" and v.smith_id = :smith_id where {mine} and cast(:vector as text) is not null order by 2 limit :ranked),"
        f" hits as (select thing.{key} as id, thing.created_at, count(*) over (partition by said.lexeme) as held_by"
        f" from {table} thing cross join unnest(thing.words) said join terms using (lexeme) where {mine}),"
        " named as (select id, row_number() over (order by sum(1.0 / held_by) desc, created_at desc) as rank from hits"
        f" where held_by <= greatest({_RARE}, (select count(*) from {table} thing where {mine}) / {_RARE_SHARE})"
        " group by id, created_at order by 2 limit :ranked),"
        " fused as (select id, sum(1.0 / (60 + rank)) as score from (select * from near union all select * from named)"
        " as ranked group by id)"
        f" select thing.{key}, thing.content, fused.score::float, {_THREAD[kind]}, thing.created_at from fused"
        f" join {table} thing on thing.{key} = fused.id where {mine}"
        " order by fused.score desc, thing.created_at desc limit :limit"
    )


_FUSED: dict[Kind, Any] = {"fact": _fused("fact"), "turn": _fused("turn")}
