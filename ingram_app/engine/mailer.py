"""The mailer: sends what the owners of organizations are to know."""

import logging

from ingram_app.core.database import Tenancy, transaction
from ingram_app.domain import mails
from ingram_app.domain.mails import Letter
from ingram_app.engine import lanes
from ingram_app.gateways import mail
from ingram_app.gateways.mail import Sent

log = logging.getLogger(__name__)
LANES = 5
SECONDS = 5.0


async def send_forever() -> None:
    """Look for mail every few seconds."""
    await lanes.go_forever(mails.due, _serve, most=LANES, seconds=SECONDS)


async def _serve(project_id: str, mail_id: str) -> bool:
    tenancy = Tenancy(project_id=project_id)
    async with transaction(tenancy) as session:
        letter = await mails.take(session, project_id, mail_id)
    if letter is None:
        return False
    sent = await lanes.or_let_go(tenancy, letter, _send(letter), mails.let_go)
    async with transaction(tenancy) as session:
        await mails.settle(session, letter, sent)
    return False


async def _send(letter: Letter) -> Sent:
    try:
        return await mail.send(letter.id, letter.to, letter.subject, letter.body)
    except Exception:
        log.exception("the mail %s failed on our side", letter.id)
        return Sent(letter.to, "Something went wrong on our side. It has been logged.")
