"""The API: programs come in here, under /v1."""

from fastapi import FastAPI


def build() -> FastAPI:
    """Return the API, whole."""
    api = FastAPI(title="Ingram Cloud")

    @api.get("/health")
    @api.get("/ready")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    return api
