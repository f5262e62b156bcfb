"""Tokens that somebody made up, or made of another: none of them may open anything."""

import base64
import hashlib
import hmac
import json
from typing import Any

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey


def taken_apart(token: str) -> tuple[str, dict[str, Any], dict[str, Any], str]:
    """Return a token's handle, header, claims and signature."""
    handle, jws = token[:9], token[9:]
    head, claims, signature = jws.split(".")
    return handle, _read(head), _read(claims), signature


def put_together(handle: str, head: dict[str, Any], claims: dict[str, Any], signature: str) -> str:
    return f"{handle}{_written(head)}.{_written(claims)}.{signature}"


def forgeries(token: str, public_key: dict[str, str], foreign_token: str) -> dict[str, str]:
    """Return ways to pretend to be the holder of `token`, whose project's public key is known to everybody."""
    handle, head, claims, signature = taken_apart(token)
    _, _, foreign_claims, foreign_signature = taken_apart(foreign_token)
    stranger = RSAKey.generate_key(2048, {"kid": head["kid"]})
    by_stranger = jwt.encode(head, claims, stranger, algorithms=["RS256"])
    in_header = {**head, "jwk": stranger.as_dict(private=False)}
    with_key_inside = jwt.encode(in_header, claims, stranger, algorithms=["RS256"])
    middle = signature[len(signature) // 2]
    return {
        "no algorithm": put_together(handle, {**head, "alg": "none"}, claims, ""),
        "no algorithm, signature kept": put_together(handle, {**head, "alg": "None"}, claims, signature),
        "the public key as a shared secret": handle + _hs256(head, claims, public_key),
        "the public key's letters as a shared secret": handle + _hs256_pem(head, claims, public_key),
        "a stranger's key": handle + by_stranger,
        "a stranger's key, brought along": handle + with_key_inside,
        "more scopes": put_together(handle, head, {**claims, "scopes": ["tenant:*", "organization:*"]}, signature),
        "no end": put_together(handle, head, {k: v for k, v in claims.items() if k != "exp"}, signature),
        "another project": put_together(handle, head, {**claims, "sub": foreign_claims["sub"]}, signature),
        "another jti": put_together(handle, head, {**claims, "jti": foreign_claims["jti"]}, signature),
        "our subject under their signature": put_together(handle, head, claims, foreign_signature),
        "their token with our subject": put_together(
            handle, head, {**foreign_claims, "sub": claims["sub"]}, foreign_signature
        ),
        "a changed letter": token.replace(signature, signature.replace(middle, "A" if middle != "A" else "B")),
        "another handle": ("thp_live_" if handle != "thp_live_" else "tha_live_") + token[9:],
        "an organization's handle": "tho_live_" + token[9:],
        "no handle": token[9:],
        "no signature": token.rpartition(".")[0],
        "an empty signature": token.rpartition(".")[0] + ".",
        "one part more": token + ".AAAA",
        "no claims": put_together(handle, head, {}, signature),
        "claims that are a list": f"{handle}{_written(head)}.{_written([1])}.{signature}",
        "a subject that is none": put_together(handle, head, {**claims, "sub": {"$ne": ""}}, signature),
        "a subject that walks": put_together(handle, head, {**claims, "sub": f"{claims['sub']}:../x"}, signature),
        "depth": f"{handle}{_written(head)}.{_encoded(b'[' * 20_000)}.{signature}",
        "depth in the header": f"{handle}{_encoded(b'[' * 20_000)}.{_written(claims)}.{signature}",
        "a number without end": f"{handle}{_written(head)}.{_encoded(b'1' * 20_000)}.{signature}",
        "critical headers": put_together(handle, {**head, "crit": ["b64"], "b64": False}, claims, signature),
        "NUL": put_together(handle, head, {**claims, "sub": f"{claims['sub']}:\0"}, signature),
        "half a letter": put_together(handle, head, {**claims, "sub": f"{claims['sub']}:\ud800"}, signature),
        "letters of elsewhere": handle + "ü²€.ü.ü".encode().decode("latin-1"),
    }


def _hs256(head: dict[str, Any], claims: dict[str, Any], public_key: dict[str, str]) -> str:
    secret = OctKey.import_key(json.dumps(public_key))
    return jwt.encode({**head, "alg": "HS256"}, claims, secret, algorithms=["HS256"])


def _hs256_pem(head: dict[str, Any], claims: dict[str, Any], public_key: dict[str, str]) -> str:
    signed = f"{_written({**head, 'alg': 'HS256'})}.{_written(claims)}"
    pem = RSAKey.import_key(public_key).as_pem(private=False)
    return f"{signed}.{_encoded(hmac.digest(pem, signed.encode(), hashlib.sha256))}"


def _read(part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def _written(part: object) -> str:
    return _encoded(json.dumps(part, separators=(",", ":")).encode())


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")
