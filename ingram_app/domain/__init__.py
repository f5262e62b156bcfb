"""The nouns, in reading order: each may lean on the ones before it, never on the ones after.

access · paging · audit · events · designs · agents · versions · keyrings · organizations · teammates · sessions ·
projects · tokens · idempotency · model_keys · smiths · rosters · rollouts · threads · turns · transcripts · frames ·
runs · guards · tryouts · leases
"""

from ingram_app.domain import (
    access,
    agents,
    audit,
    designs,
    events,
    frames,
    guards,
    idempotency,
    keyrings,
    leases,
    model_keys,
    organizations,
    paging,
    projects,
    rollouts,
    rosters,
    runs,
    sessions,
    smiths,
    teammates,
    threads,
    tokens,
    transcripts,
    tryouts,
    turns,
    versions,
)

__all__ = [
    "access",
    "agents",
    "audit",
    "designs",
    "events",
    "frames",
    "guards",
    "idempotency",
    "keyrings",
    "leases",
    "model_keys",
    "organizations",
    "paging",
    "projects",
    "rollouts",
    "rosters",
    "runs",
    "sessions",
    "smiths",
    "teammates",
    "threads",
    "tokens",
    "transcripts",
    "tryouts",
    "turns",
    "versions",
]
