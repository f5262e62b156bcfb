"""A signed post: one message to an address that a customer names, signed so that the receiver can tell whose it is.

Signed twice, each form with every secret that is given:

    X-IC-Signature     t=<unix>,v1=<hex>,…        HMAC-SHA256 of `<unix>.<body>`; the key is the whole secret, as text
    webhook-signature  v1,<base64> …              Standard Webhooks: the key is what follows `whsec_`, out of base64
"""

import hashlib
import hmac
from datetime import datetime

from standardwebhooks import Webhook

from ingram_app.core.clock import now
from ingram_app.gateways import posting
from ingram_app.gateways.posting import Answer

SECONDS = 10


async def send(url: str, *, secrets: list[str], id: str, body: bytes) -> Answer:
    """Post a message, and read no more of the answer than an excerpt. What goes wrong is part of what comes back."""
    headers = signed(secrets, id, body, now())
    return await posting.post(url, headers=headers, body=body, within_seconds=SECONDS)


def signed(secrets: list[str], id: str, body: bytes, at: datetime) -> dict[str, str]:
    """Return the headers of a message that is sent at this moment."""
    unix = str(int(at.timestamp()))
    ours = [hmac.digest(secret.encode(), f"{unix}.".encode() + body, hashlib.sha256).hex() for secret in secrets]
    standard = [Webhook(secret).sign(id, at, body.decode()) for secret in secrets]
    return {
        "content-type": "application/json",
        "user-agent": "Ingram-Cloud-Webhooks/1",
        "x-ic-event-id": id,
        "x-ic-signature": ",".join([f"t={unix}", *(f"v1={one}" for one in ours)]),
        "webhook-id": id,
        "webhook-timestamp": unix,
        "webhook-signature": " ".join(standard),
    }
