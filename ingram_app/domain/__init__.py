"""The nouns, in reading order: each may lean on the ones before it, never on the ones after.

access · paging · audit · events · hosted_tools · designs · agents · keyrings · organizations · teammates · sessions ·
projects · tokens · idempotency · model_keys · smiths · threads · turns · transcripts · frames · runs · leases
"""

from ingram_app.domain import (
    access,
    agents,
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
    transcripts,
    turns,
)

__all__ = [
    "access",
    "agents",
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
    "transcripts",
    "turns",
]
