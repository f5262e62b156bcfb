"""Signatures: what is signed is the request, the server it goes to, and the smith it is for."""

from ingram_app.core.database import transaction
from ingram_app.domain import keyrings, signatures
from ingram_app.domain.access import Caller
from ingram_app.domain.signatures import Person


async def test_a_request_for_nobody_names_nobody(tenant: Caller) -> None:
    async with transaction(tenant.tenancy) as session:
        ring = await keyrings.find(session, tenant.project_id)
    assert set(signatures.signer(ring, "https://x.example", None)(b"")) == {"X-IC-Signature"}
    assert set(signatures.signer(ring, "https://x.example", Person("smt_1", None))(b"")) == {"X-IC-Signature"}


async def test_no_two_requests_carry_the_same(tenant: Caller) -> None:
    async with transaction(tenant.tenancy) as session:
        ring = await keyrings.find(session, tenant.project_id)
    sign = signatures.signer(ring, "https://x.example", Person("smt_1", "ann"))
    assert sign(b"a")["X-IC-Signature"] != sign(b"a")["X-IC-Signature"]


async def test_nothing_but_public_halves_is_published(tenant: Caller) -> None:
    async with transaction(tenant.tenancy) as session:
        [key] = (await signatures.published(session, tenant.project_id))["keys"]
    assert set(key) == {"kty", "n", "e", "kid", "alg", "use"}
