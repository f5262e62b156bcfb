"""/v1/tenant/models and model_keys: which models can be reached, and with whose key."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import HttpUrl, StringConstraints

from ingram_app.api.deps import Caller, InTransaction, Route
from ingram_app.api.shapes import In, ListOut, Out
from ingram_app.domain import model_keys, smiths
from ingram_app.domain.model_keys import ModelKey

router = APIRouter(tags=["models"], route_class=Route)
ProviderName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]

ApiKey = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000, pattern=r"^[\x21-\x7e]+$")
]
"""What can stand in a header."""


class ModelOut(Out):
    id: str
    provider: str
    label: str
    available: bool
    source: Literal["smith", "byok", "hosted", "local"] | None


class ProviderOut(Out):
    id: str
    label: str
    base_url: bool
    hosted: bool


class CatalogOut(Out):
    data: list[ModelOut]
    providers: list[ProviderOut]


class KeyIn(In):
    api_key: ApiKey
    base_url: HttpUrl | None = None


class KeyOut(Out):
    """That there is a key, never the key."""

    provider: str
    base_url: str | None
    created_at: datetime
    updated_at: datetime


@router.get("/tenant/models", response_model=CatalogOut)
async def list_models(caller: Caller, session: InTransaction) -> CatalogOut:
    """List known models and whether the project can reach each. Other ids work too: ids are never gated."""
    return CatalogOut.model_validate(await model_keys.catalog(session, caller))


@router.get("/tenant/model_keys", response_model=ListOut[KeyOut])
async def list_keys(caller: Caller, session: InTransaction) -> dict[str, list[ModelKey]]:
    """List for which providers the project has a key."""
    return {"data": await model_keys.browse(session, caller)}


@router.put("/tenant/model_keys/{provider}", response_model=KeyOut)
async def put_key(provider: ProviderName, body: KeyIn, caller: Caller, session: InTransaction) -> ModelKey:
    """Keep the project's key for a provider, sealed. A provider of your own needs a `base_url`."""
    return await model_keys.put(session, caller, provider, api_key=body.api_key, base_url=_url(body))


@router.delete("/tenant/model_keys/{provider}", status_code=204)
async def delete_key(provider: ProviderName, caller: Caller, session: InTransaction) -> None:
    """Forget the project's key for a provider."""
    await model_keys.remove(session, caller, provider)


@router.get("/smiths/{smith_id}/model_keys", response_model=ListOut[KeyOut])
async def list_smith_keys(smith_id: str, caller: Caller, session: InTransaction) -> dict[str, list[ModelKey]]:
    """List for which providers the smith has a key of its own."""
    await smiths.embody(session, caller, smith_id)
    return {"data": await model_keys.browse(session, caller, smith_id)}


@router.put("/smiths/{smith_id}/model_keys/{provider}", response_model=KeyOut)
async def put_smith_key(
    smith_id: str, provider: ProviderName, body: KeyIn, caller: Caller, session: InTransaction
) -> ModelKey:
    """Keep a key of the smith's own, used before the project's."""
    await smiths.embody(session, caller, smith_id, stays=True)
    url = _url(body)
    return await model_keys.put(session, caller, provider, api_key=body.api_key, base_url=url, smith_id=smith_id)


@router.delete("/smiths/{smith_id}/model_keys/{provider}", status_code=204)
async def delete_smith_key(smith_id: str, provider: ProviderName, caller: Caller, session: InTransaction) -> None:
    """Forget a key of the smith's own."""
    await smiths.embody(session, caller, smith_id, stays=True)
    await model_keys.remove(session, caller, provider, smith_id)


def _url(body: KeyIn) -> str | None:
    return str(body.base_url).rstrip("/") if body.base_url else None
