"""The nouns, in reading order: each may lean on the ones before it, never on the ones after.

access · paging · audit · events · hosted_tools · designs · agents · keyrings · organizations · teammates · sessions ·
projects · tokens · idempotency · model_keys · smiths · threads · turns · transcripts · frames · tool_calls ·
approvals · runs · leases · answers
"""

from ingram_app.domain import (
    access,
    agents,
    answers,
    approvals,
    audit,
    designs,
    events,
    frames,
    hosted_tools,
    idempotency,
    keyrings,
    leases,
    model_keys,
    organizations,
    paging,
    projects,
    runs,
    sessions,
    smiths,
    teammates,
    threads,
    tokens,
    tool_calls,
    transcripts,
    turns,
)

__all__ = [
    "access",
    "agents",
    "answers",
    "approvals",
    "audit",
    "designs",
    "events",
    "frames",
    "hosted_tools",
    "idempotency",
    "keyrings",
    "leases",
    "model_keys",
    "organizations",
    "paging",
    "projects",
    "runs",
    "sessions",
    "smiths",
    "teammates",
    "threads",
    "tokens",
    "tool_calls",
    "transcripts",
    "turns",
]
