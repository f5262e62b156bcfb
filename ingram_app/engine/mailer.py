"""The mailer: sends what the owners of organizations are to know."""

import asyncio
import logging
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

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
    try:
        sent = await mail.send(letter.id, letter.to, letter.subject, letter.body)
    except asyncio.CancelledError:
        await asyncio.shield(_let_go(tenancy, letter))
        raise
    except Exception:
        log.exception("the mail %s failed on our side", mail_id)
        sent = Sent(letter.to, "Something went wrong on our side. It has been logged.")
    async with transaction(tenancy) as session:
        await mails.settle(session, letter, sent)
    return False


async def _let_go(tenancy: Tenancy, letter: Letter) -> None:
    with suppress(SQLAlchemyError):
        async with transaction(tenancy) as session:
            await mails.let_go(session, letter)
