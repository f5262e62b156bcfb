"""The nouns, in reading order: each may lean on the ones before it, never on the ones after.

access · paging · audit · events · designs · agents · keyrings · organizations · teammates · sessions · projects ·
tokens · idempotency · model_keys · smiths · threads · arrivals · turns · transcripts · frames · runs · leases
"""

from ingram_app.domain import (
    access,
    agents,
    arrivals,
    audit,
    designs,
    events,
    frames,
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
    "arrivals",
    "audit",
    "designs",
    "events",
    "frames",
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
