"""Sealing: AES-256-GCM, bound to its owner. What was sealed for one owner opens for no other."""

import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ingram_app.core.errors import Unavailable

_NONCE_BYTES = 12


class StorageUnavailable(Unavailable):
    """A stored secret of {owner} does not open. The master key is not the one it was sealed with: put it back."""


def new_key() -> bytes:
    """Return 32 fresh bytes to seal with."""
    return AESGCM.generate_key(256)


def seal(key: bytes, secret: bytes, owner: str) -> bytes:
    """Return `secret` sealed with `key` for `owner`, an id."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, secret, owner.encode())


def unseal(key: bytes, sealed: bytes, owner: str) -> bytes:
    """Return what was sealed. Raises `StorageUnavailable` when key or owner are others."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], owner.encode())
    except InvalidTag:
        raise StorageUnavailable(owner=owner) from None


def digest(text: str) -> str:
    """Return the SHA-256 of `text` in hex: what is kept of a token or a cookie."""
    return hashlib.sha256(text.encode()).hexdigest()
