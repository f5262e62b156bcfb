"""/v1/projects/{project_id}/jwks.json: what our signatures verify with. Anyone may read it."""

from typing import Any

from fastapi import APIRouter

from ingram_app.core.database import Tenancy, transaction
from ingram_app.core.errors import NotFound
from ingram_app.core.ids import is_id
from ingram_app.domain import signatures

router = APIRouter(tags=["tools"])


@router.get("/projects/{project_id}/jwks.json")
async def get_signing_keys(project_id: str) -> dict[str, Any]:
    """Show the public keys that verify `X-IC-Signature` on calls to your servers. Needs no token."""
    if not is_id(project_id, "proj"):
        raise NotFound(noun="project", id=project_id[:80])
    async with transaction(Tenancy(project_id=project_id)) as session:
        return await signatures.published(session, project_id)
