"""Keyrings: the keys of one owner, a project or an organization. When it is destroyed, so is all that they sealed.

master key ─seals▶ data key ─seals▶ signing key, provider keys, kept answers
                                    signing key ─signs▶ tokens, which verify under its public half alone
"""

import asyncio
import json
from datetime import datetime
from functools import lru_cache

from joserfc.jwk import RSAKey
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import secrets
from ingram_app.core.clock import now
from ingram_app.core.database import Moment
from ingram_app.core.errors import NotFound
from ingram_app.core.ids import new_id
from ingram_app.core.settings import settings


class Keyring(SQLModel, table=True):
    __tablename__ = "keyrings"

    owner_id: str = Field(primary_key=True)
    """`proj_…` or `org_…`; bound into everything sealed."""
    kid: str
    public_key: dict[str, str] = Field(sa_type=JSONB)
    """A JSON Web Key (RFC 7517), RS256."""
    sealed_data_key: bytes
    sealed_signing_key: bytes
    created_at: datetime = Field(default_factory=now, sa_type=Moment)

    def seal(self, secret: bytes) -> bytes:
        """Return `secret` sealed for the owner."""
        return secrets.seal(self._data_key(), secret, self.owner_id)

    def unseal(self, sealed: bytes) -> bytes:
        """Return what was sealed for the owner. Raises `StorageUnavailable`."""
        return secrets.unseal(self._data_key(), sealed, self.owner_id)

    def verifying_key(self) -> RSAKey:
        return _public_key_of(json.dumps(self.public_key))

    def signing_key(self) -> RSAKey:
        return _key_of(self.unseal(self.sealed_signing_key))

    def _data_key(self) -> bytes:
        return _data_key_of(settings().master_key_bytes(), self.sealed_data_key, self.owner_id)


async def create(session: AsyncSession, owner_id: str) -> Keyring:
    """Make the keys of a new owner."""
    data_key = secrets.new_key()
    kid = new_id("kid")
    pair = await asyncio.to_thread(RSAKey.generate_key, 2048, {"kid": kid})
    public = {name: str(value) for name, value in pair.as_dict(private=False).items()}
    ring = Keyring(
        owner_id=owner_id,
        kid=kid,
        public_key=public,
        sealed_data_key=secrets.seal(settings().master_key_bytes(), data_key, owner_id),
        sealed_signing_key=secrets.seal(data_key, pair.as_pem(private=True), owner_id),
    )
    session.add(ring)
    await session.flush()
    return ring


async def find(session: AsyncSession, owner_id: str) -> Keyring:
    """Return the keys of an owner that the transaction stands in. Raises `NotFound`."""
    ring = await session.get(Keyring, owner_id)
    if ring is None:
        raise NotFound(noun="keyring", id=owner_id)
    return ring


@lru_cache(maxsize=512)
def _data_key_of(master_key: bytes, sealed: bytes, owner_id: str) -> bytes:
    return secrets.unseal(master_key, sealed, owner_id)


@lru_cache(maxsize=512)
def _key_of(pem: bytes) -> RSAKey:
    return RSAKey.import_key(pem)


@lru_cache(maxsize=4096)
def _public_key_of(jwk: str) -> RSAKey:
    return RSAKey.import_key(json.loads(jwk))
