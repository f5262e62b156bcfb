"""The nouns, in reading order: each may lean on the ones before it, never on the ones after.

access · paging · audit · events · designs · rendering · agents · keyrings · organizations · teammates · sessions ·
projects · tokens · idempotency · model_keys · revisions · smiths · threads · turns · transcripts · frames · runs ·
leases · claims · erasures · exports
"""

from ingram_app.domain import (
    access,
    agents,
    audit,
    claims,
    designs,
    erasures,
    events,
    exports,
    frames,
    idempotency,
    keyrings,
    leases,
    model_keys,
    organizations,
    paging,
    projects,
    rendering,
    revisions,
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
    "claims",
    "designs",
    "erasures",
    "events",
    "exports",
    "frames",
    "idempotency",
    "keyrings",
    "leases",
    "model_keys",
    "organizations",
    "paging",
    "projects",
    "rendering",
    "revisions",
    "runs",
    "sessions",
    "smiths",
    "teammates",
    "threads",
    "tokens",
    "transcripts",
    "turns",
]
