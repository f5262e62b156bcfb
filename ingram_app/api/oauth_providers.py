"""/v1/tenant/providers: services in which a project's smiths can have accounts."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from ingram_app.api.deps import Caller, InTransaction, Route
from ingram_app.api.models import ApiKey
from ingram_app.api.shapes import In, ListOut, Out
from ingram_app.domain import oauth_providers
from ingram_app.domain.designs import Name
from ingram_app.domain.oauth_providers import OAuthProvider
from ingram_app.gateways.oauth_presets import AuthMethod

Scope = Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]{1,300}$")]
router = APIRouter(prefix="/tenant/providers", tags=["connections"], route_class=Route)


class ProviderIn(In):
    """For google, github, slack, notion and microsoft, `client_id` and `client_secret` are all it takes."""

    client_id: Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[\x21-\x7e]+$")]
    client_secret: ApiKey | None = None
    """Kept when left out, while `client_id` and the addresses stay the same. None with the `auth_method` none."""
    authorize_url: str | None = None
    token_uri: str | None = None
    revoke_uri: str | None = None
    auth_method: AuthMethod | None = None
    scopes_allowed: Annotated[list[Scope], Field(max_length=100)] = []
    refresh_webhook: str | None = None
    return_origins: Annotated[list[Name], Field(max_length=50)] = []


class RegistrationOut(Out):
    """Us as a server's authorization server has registered us by itself."""

    mcp_server: str
    issuer: str
    resource: str
    secret_expires_at: datetime | None


class ProviderOut(Out):
    provider: str
    client_id: str
    authorize_url: str
    token_uri: str
    revoke_uri: str | None
    auth_method: AuthMethod
    scopes_allowed: list[str]
    refresh_webhook: str | None
    return_origins: list[str]
    registration: RegistrationOut | None
    """Null when somebody has registered us by hand."""
    redirect_uri: str
    """Tell it to the service: where people come back to."""
    created_at: datetime
    updated_at: datetime


@router.get("", response_model=ListOut[ProviderOut])
async def list_providers(caller: Caller, session: InTransaction) -> dict[str, list[OAuthProvider]]:
    """List the services in which the project's smiths can have accounts."""
    return {"data": await oauth_providers.browse(session, caller)}


@router.put("/{provider}", response_model=ProviderOut)
async def put_provider(provider: str, body: ProviderIn, caller: Caller, session: InTransaction) -> OAuthProvider:
    """Keep the project's client of a service; the secret is sealed and never shown."""
    return await oauth_providers.put(session, caller, provider, body.model_dump(exclude_unset=True))


@router.get("/{provider}", response_model=ProviderOut)
async def get_provider(provider: str, caller: Caller, session: InTransaction) -> OAuthProvider:
    """Show one service, without its secret."""
    return await oauth_providers.find(session, caller, provider)


@router.delete("/{provider}", status_code=204)
async def delete_provider(provider: str, caller: Caller, session: InTransaction) -> None:
    """Forget a service; connections with it work until their tokens end."""
    await oauth_providers.remove(session, caller, provider)
