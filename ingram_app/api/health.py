"""/health, /ready, /metrics: for whoever keeps this running."""

import hmac

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text

from ingram_app.core.database import NOBODY, execute, transaction
from ingram_app.core.errors import Unauthenticated
from ingram_app.core.settings import settings

SERVICE = "ingram-cloud"
router = APIRouter(tags=["health"])


class MetricsTokenRequired(Unauthenticated):
    """The metrics are for the bearer of IC_METRICS_TOKEN."""

    code = "unauthenticated"


@router.get("/health")
async def health() -> dict[str, object]:
    """Tell that this process answers."""
    return {"ok": True, "service": SERVICE, "commit": settings().commit}


@router.get("/ready")
async def ready() -> JSONResponse:
    """Tell whether requests can be served: 503 while a check fails."""
    checks = {"db": await _database_answers()}
    ok = all(checks.values())
    headers = {} if ok else {"Retry-After": "5"}
    return JSONResponse({"ok": ok, "service": SERVICE, "checks": checks}, 200 if ok else 503, headers)


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Show the figures of this process to Prometheus."""
    token = settings().metrics_token
    shown = request.headers.get("authorization", "").removeprefix("Bearer ")
    if token is None or not hmac.compare_digest(shown.encode(), token.get_secret_value().encode()):
        raise MetricsTokenRequired()
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _database_answers() -> bool:
    try:
        async with transaction(NOBODY) as session:
            await execute(session, text("select 1"))
    except Exception:  # whatever the reason: the answer is no
        return False
    return True
