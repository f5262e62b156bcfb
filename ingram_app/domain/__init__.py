"""The nouns, in reading order: each may lean on the ones before it, never on the ones after.

access · paging · audit · events · designs · agents · keyrings · organizations · teammates · sessions · projects ·
tokens · idempotency · model_keys · smiths · threads · arrivals · turns · transcripts · frames · runs · leases ·
speech · conversations
"""

from ingram_app.domain import (
    access,
    agents,
    arrivals,
    audit,
    conversations,
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
    speech,
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
    "conversations",
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
    "speech",
    "teammates",
    "threads",
    "tokens",
    "transcripts",
    "turns",
]
