"""Signatures: how somebody's server can tell that a request is ours, and for which smith it is made.

`X-IC-Signature` is a JSON Web Token (RFC 7519, RS256) under the project's own key, whose public half anyone may read.
It names the smith, the server it is for and the body it goes with, and holds for five minutes.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from joserfc import jwt
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.ids import new_id
from ingram_app.core.settings import settings
from ingram_app.domain import keyrings
from ingram_app.domain.keyrings import Keyring

LIFETIME = timedelta(minutes=5)
KIND = "ic-call+jwt"
"""The token's `typ`: none of those that open our own API has it."""
_AS_IT_IS = "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~ "


@dataclass(frozen=True, slots=True)
class Person:
    """The smith that a request is made for."""

    smith_id: str
    external_id: str | None


def signer(ring: Keyring, audience: str, person: Person | None) -> Callable[[bytes], dict[str, str]]:
    """Return what gives the headers of a request by its body. `audience` is the address that it goes to."""
    key = ring.signing_key()
    named = {} if person is None else {"smith_id": person.smith_id}
    shown = {}
    if person is not None and person.external_id is not None:
        named["sub"] = person.external_id
        shown["X-IC-Smith-External-Id"] = quote(person.external_id.strip(), safe=_AS_IT_IS)

    def headers(body: bytes) -> dict[str, str]:
        issued = int(now().timestamp())
        claims: dict[str, Any] = {
            "iss": f"{settings().address}/v1/projects/{ring.owner_id}",
            "aud": audience,
            **named,
            "iat": issued,
            "exp": issued + int(LIFETIME.total_seconds()),
            "jti": new_id("sig"),
            "body_sha256": hashlib.sha256(body).hexdigest(),
        }
        header = {"alg": "RS256", "kid": ring.kid, "typ": KIND}
        return {**shown, "X-IC-Signature": jwt.encode(header, claims, key, algorithms=["RS256"])}

    return headers


async def published(session: AsyncSession, project_id: str) -> dict[str, Any]:
    """Return the JSON Web Key Set (RFC 7517) of the project that the transaction is for. Raises `NotFound`."""
    ring = await keyrings.find(session, project_id)
    return {"keys": [{**ring.public_key, "kid": ring.kid, "alg": "RS256", "use": "sig"}]}
