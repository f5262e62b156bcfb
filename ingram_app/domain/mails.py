"""Mails: what the owners of an organization are to know at once, on its way to them.

pending ──▶ sent
   └──▶ … tried again for a day … ──▶ failed, and the feed tells so

A mail is written in the transaction of what it tells of. If a process dies between sending one and writing that down,
it is sent again, as the same message. Where the installation sends no mail, none is written.
"""

import random
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, func, text
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, execute, keepable, moment_in, one_of
from ingram_app.core.ids import new_id
from ingram_app.core.settings import settings
from ingram_app.domain import events, projects
from ingram_app.domain.access import Role, platform
from ingram_app.domain.event_types import EmailSendFailed
from ingram_app.domain.teammates import Teammate
from ingram_app.gateways.mail import Sent

HOLD_SECONDS = 120
"""Longer than sending one may take."""
RETRIES_SECONDS = (60, 300, 1800, 7200, 8 * 3600, 12 * 3600)
JITTER = (0.8, 1.2)


class MailState(StrEnum):
    pending = "pending"
    sent = "sent"
    failed = "failed"


class Mail(SQLModel, table=True):
    __tablename__ = "mails"
    __table_args__ = (Index("ix_mails_due", "next_attempt_at", "id", postgresql_where=text("state = 'pending'")),)

    id: str = Field(default_factory=lambda: new_id("mail"), primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE")
    subject: str
    body: str
    state: MailState = Field(default=MailState.pending, sa_type=one_of(MailState))
    attempts: int = 0
    next_attempt_at: datetime = Field(default_factory=now, sa_type=Moment)
    """Whoever is at sending it has it until then."""
    last_error: str | None = None
    created_at: datetime = Field(default_factory=now, sa_type=Moment)


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail to be sent now, and to whom."""

    id: str
    project_id: str
    held_until: datetime
    to: list[str]
    subject: str
    body: str


async def to_owners(session: AsyncSession, project_id: str, subject: str, said: str, where: str) -> None:
    """Write to the owners of a project's organization; `where` is the page of the project that they are to go to."""
    if not settings().sends_mail:
        return
    project = await projects.at(session, project_id)
    body = f"{said}\n\n{settings().address}/p/{project_id}{where}\n\nThis is about the project {project.name}.\n"
    session.add(Mail(project_id=project_id, subject=f"{subject} · {project.name}", body=keepable(body)))
    await session.flush()


_DUE = text(
    "select project_id, id from mails where state = 'pending' and next_attempt_at <= clock_timestamp()"
    " order by next_attempt_at, id limit :most"
)


async def due(session: AsyncSession, most: int) -> list[tuple[str, ...]]:
    """Return (project, mail) of what is to be sent. For the dispatcher, which sees no more of it."""
    return [(row[0], row[1]) for row in (await execute(session, _DUE, {"most": most})).all()]


async def take(session: AsyncSession, project_id: str, mail_id: str) -> Letter | None:
    """Begin to send a mail, and hold it meanwhile; nothing, if another does, or nobody is left to read it."""
    free = (Mail.state == MailState.pending, Mail.next_attempt_at <= func.clock_timestamp())
    query = select(Mail).where(Mail.project_id == project_id, Mail.id == mail_id, *free)
    mail = (await session.exec(query.with_for_update(skip_locked=True))).first()
    if mail is None:
        return None
    organization_id = (await projects.at(session, project_id)).organization_id
    owners = select(Teammate.email).where(Teammate.organization_id == organization_id, Teammate.role == Role.owner)
    to = list((await session.exec(owners.order_by(Teammate.email))).all())
    if not to:
        mail.state, mail.last_error = MailState.failed, "There is no owner to write to."
        return None
    mail.next_attempt_at = until = await moment_in(session, HOLD_SECONDS)
    mail.attempts += 1
    return Letter(mail.id, project_id, until, to, mail.subject, mail.body)


async def settle(session: AsyncSession, letter: Letter, sent: Sent) -> None:
    """Keep what came of it. Nothing, if the hold on it has ended meanwhile."""
    mine = (Mail.project_id == letter.project_id, Mail.id == letter.id, Mail.next_attempt_at == letter.held_until)
    mail = (await session.exec(select(Mail).where(*mine).with_for_update())).first()
    if mail is None:
        return
    mail.last_error = keepable(sent.error)
    if len(sent.unreached) < len(letter.to):
        mail.state = MailState.sent
    elif sent.is_final or mail.attempts > len(RETRIES_SECONDS):
        mail.state = MailState.failed
    else:
        wait = RETRIES_SECONDS[mail.attempts - 1] * random.uniform(*JITTER)
        mail.next_attempt_at = await moment_in(session, wait)
        return
    if sent.unreached:
        told = EmailSendFailed(mail.id, mail.subject, sent.unreached, keepable(sent.error or ""))
        await events.tell(session, platform(letter.project_id), told)


async def let_go(session: AsyncSession, letter: Letter) -> None:
    """Leave a mail that nothing came of to whoever comes next."""
    mine = (col(Mail.project_id) == letter.project_id, col(Mail.id) == letter.id)
    query = select(Mail).where(*mine, Mail.next_attempt_at == letter.held_until).with_for_update()
    if (mail := (await session.exec(query)).first()) is not None:
        mail.next_attempt_at = await moment_in(session)
