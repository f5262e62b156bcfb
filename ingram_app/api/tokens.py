"""/v1/tenant/tokens: how programs, and browsers of end users, get in."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import Field

from ingram_app.api.deps import Caller, InTransaction, Place, Route
from ingram_app.api.shapes import In, Out, PageOut
from ingram_app.core.errors import Invalid
from ingram_app.domain import smiths, tokens
from ingram_app.domain.paging import Page
from ingram_app.domain.tokens import Kind, Minted, Token

router = APIRouter(prefix="/tenant/tokens", tags=["tokens"], route_class=Route)


class InvalidScope(Invalid):
    """`scope` is `smith` or `admin`, not {scope}."""


class NewToken(In):
    scope: str = Field(default="smith", examples=["smith", "admin"])
    smith_id: str | None = None
    permissions: list[str] | None = Field(default=None, examples=[["runs:read", "runs:write"]])
    ttl_seconds: int | None = None
    name: str | None = Field(default=None, max_length=200)

    def kind(self) -> Kind:
        """Raises `InvalidScope`."""
        if self.scope not in ("smith", "admin"):
            raise InvalidScope(scope=self.scope[:40], param="scope")
        return Kind(self.scope)


class MintedOut(Out):
    id: str
    token: str
    """Shown this once."""
    scope: Literal["smith", "admin"]
    sub: str
    scopes: list[str]
    expires_at: datetime | None

    @classmethod
    def of(cls, minted: Minted) -> "MintedOut":
        row = minted.token
        scope: Literal["smith", "admin"] = "smith" if row.kind is Kind.smith else "admin"
        return cls(
            id=row.id, token=minted.words, scope=scope, sub=row.sub, scopes=row.scopes, expires_at=row.expires_at
        )


class TokenOut(Out):
    id: str
    name: str | None
    sub: str
    scopes: list[str]
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


@router.post("", status_code=201, response_model=MintedOut)
async def mint_token(body: NewToken, caller: Caller, session: InTransaction) -> MintedOut:
    """Mint a token of the project; one for a smith is safe in that person's browser. Its words are shown this once."""
    minted = await smiths.mint_token(
        session,
        caller,
        kind=body.kind(),
        smith_id=body.smith_id,
        permissions=body.permissions,
        ttl_seconds=body.ttl_seconds,
        name=body.name,
    )
    return MintedOut.of(minted)


@router.get("", response_model=PageOut[TokenOut])
async def list_tokens(caller: Caller, session: InTransaction, place: Place) -> Page[Token]:
    """List the project's tokens, newest first, without their words."""
    return await tokens.browse(session, caller, place)


@router.delete("/{token_id}", status_code=204)
async def revoke_token(token_id: str, caller: Caller, session: InTransaction) -> None:
    """Revoke a token, everywhere within a second."""
    await tokens.revoke(session, caller, token_id)
