"""The API: programs come in here, under /v1. A route reads the request, calls one verb, shows the row."""

from fastapi import FastAPI

from ingram_app.api import (
    agents,
    answers,
    approvals,
    attachments,
    connections,
    errors,
    events,
    exports,
    health,
    hosted_tools,
    mcp_servers,
    memory,
    models,
    oauth_providers,
    organization,
    persons,
    prices,
    reference,
    replays,
    revisions,
    rollouts,
    runs,
    searches,
    sign_in,
    signing_keys,
    smiths,
    tenant_settings,
    threads,
    tokens,
    trace_exports,
    traces,
    usage,
    versions,
    webhooks,
)
from ingram_app.api.deps import VERSION
from ingram_app.api.gate import Gate
from ingram_app.api.shapes import ErrorOut

PUBLIC = (
    runs,  # a request tries one after the other: 5 µs each
    organization,
    tokens,
    tenant_settings,
    models,
    prices,
    hosted_tools,
    searches,
    mcp_servers,
    signing_keys,
    oauth_providers,
    agents,
    versions,
    rollouts,
    smiths,
    connections,
    revisions,
    persons,
    threads,
    attachments,
    trace_exports,
    traces,
    usage,
    answers,
    replays,
    approvals,
    events,
    memory,
    webhooks,
)


def build() -> FastAPI:
    """Return the API with every route, its failures in one envelope."""
    api = FastAPI(
        title="Ingram Cloud",
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        strict_content_type=False,
        responses={"default": {"model": ErrorOut, "description": "It went wrong."}},
    )
    for module in PUBLIC:
        api.include_router(module.router, prefix="/v1")
    api.include_router(connections.way_back, prefix="/v1")
    for module in (health, sign_in, exports, reference):
        api.include_router(module.router)
    errors.handle_all(api)
    api.add_middleware(Gate)
    return api
