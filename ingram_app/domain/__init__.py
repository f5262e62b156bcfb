"""The nouns, in reading order: each may lean on the ones before it, never on the ones after.

access · paging · audit · events · designs · agents · keyrings · organizations · teammates · sessions · projects ·
tokens · idempotency · model_keys · smiths · threads · turns · transcripts · frames · runs · leases · webhooks ·
deliveries
"""

from ingram_app.domain import (
    access,
    agents,
    audit,
    deliveries,
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
    webhooks,
)

__all__ = [
    "access",
    "agents",
    "audit",
    "deliveries",
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
    "webhooks",
]
