"""/downloads: files that the console hands to the browser. The session's cookie says who asks.

They are posted for, so that no other site's page can have one made: the edge refuses such a page's post.
"""

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from ingram_app.api.persons import exported
from ingram_app.core.database import NOBODY, transaction
from ingram_app.core.errors import Unauthenticated
from ingram_app.core.secrets import digest
from ingram_app.core.settings import settings
from ingram_app.domain import exports, projects, sessions
from ingram_app.domain.access import Caller

router = APIRouter(prefix="/downloads", include_in_schema=False)


class NotSignedIn(Unauthenticated):
    """Nobody is signed in here. Sign in to the console, and ask again."""

    code = "unauthenticated"


@router.post("/{project_id}/smiths/{smith_id}")
async def download_smith(project_id: str, smith_id: str, request: Request) -> StreamingResponse:
    """Everything that is held about a smith's person."""
    caller = await _caller(request, project_id)
    async with transaction(caller.tenancy) as session:
        await exports.begin(session, caller, smith_id)
    return exported(caller, smith_id)


async def _caller(request: Request, project_id: str) -> Caller:
    """Return who asks, in the project named. Raises `NotSignedIn`, `NotFound`."""
    cookie = request.cookies.get(settings().cookie)
    async with transaction(NOBODY) as session:
        teammate = await sessions.whose(session, digest(cookie)) if cookie else None
        if teammate is None:
            raise NotSignedIn()
        return await projects.standing(session, teammate, project_id)
