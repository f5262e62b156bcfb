"""/v1/smiths/{id}/attachments: the pictures and files that were said to a smith."""

from urllib.parse import quote

from fastapi import APIRouter, Response

from ingram_app.api.deps import Caller, InTransaction, Route
from ingram_app.domain import attachments

router = APIRouter(prefix="/smiths/{smith_id}/attachments", tags=["threads"], route_class=Route)


@router.get("/{sha256}", response_class=Response)
async def get_attachment(smith_id: str, sha256: str, caller: Caller, session: InTransaction) -> Response:
    """Read back a picture or file by the `sha256` that an input or a message names."""
    found = await attachments.find(session, caller, smith_id, sha256)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.sha256[:12] + found.suffix)}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, max-age=31536000, immutable",
    }
    return Response(found.content, media_type=found.media_type, headers=headers)
