"""Pushes: what a customer has used, on its way to the project's account at Stripe, each counted there once.

waiting ──▶ sent                   Stripe has it
   ├──────▶ dead                   Stripe will not take it
   └──────▶ unsure                  it may have it: it was sent, no answer came, and a day has passed

A push is written in the transaction of what it tells of, and its id is the identifier by which Stripe knows it. Stripe
counts one identifier once, for a day at least. So what was sent without an answer is sent again within that day, and
not after it: whoever looks at Stripe says then whether it is to be sent once more.

Whoever takes a push has it until it is due again; a process that dies leaves it to the next.
"""

import random
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy import Index, func, text
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.clock import now
from ingram_app.core.database import Moment, execute, keepable, moment_in, one_of
from ingram_app.core.ids import new_id
from ingram_app.domain import audit, customers, keyrings, projects, stripe_accounts
from ingram_app.domain.access import Caller
from ingram_app.domain.customers import STRIPE
from ingram_app.domain.paging import FIRST, Page, Place, page
from ingram_app.domain.stripe_accounts import PAUSE, StripeAccount
from ingram_app.gateways.stripe import Answer, Came

DUE = "pushes.due"
"""Told when there is something to push."""
AT_ONCE = 20
HOLD_SECONDS = 60
"""Longer than an attempt at as many takes."""
APART_SECONDS = 60
"""Tokens are told in sums: the ledger of a project is read at most so often."""
TOKEN_METERS = ("ingram_input_tokens", "ingram_output_tokens")
"""What the meters at Stripe are called that tokens are told to."""
RETRIES_SECONDS = (5, 30, 120, 600, 3600)
"""After the last of them, as long again and again."""
JITTER = (0.8, 1.2)
SILENCE_SECONDS = (15, 600)
"""How long an account whose Stripe is silent is left alone: twice as long each time, up to the second."""
COUNTED_ONCE_FOR = timedelta(hours=23)
"""For so long after a first attempt another can do no harm."""
TAKEN_FOR = timedelta(days=34)
"""Stripe takes nothing that is older than 35 days."""


class PushState(StrEnum):
    waiting = "waiting"
    sent = "sent"
    dead = "dead"
    unsure = "unsure"


class Push(SQLModel, table=True):
    __tablename__ = "pushes"
    __table_args__ = (
        Index("ix_pushes_page", "customer_id", "created_at", "id"),
        Index("ix_pushes_open", "project_id", "state", postgresql_where=text("state <> 'sent'")),
        Index("ix_pushes_due", "project_id", "next_attempt_at", "id", postgresql_where=text("state = 'waiting'")),
    )

    id: str = Field(primary_key=True)
    """That of the usage event it tells of; one of its own for a sum of tokens."""
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE")
    customer_id: str = Field(foreign_key="customers.id")
    stripe_customer_id: str
    event_name: str
    """Of the meter at Stripe."""
    value: Decimal = Field(sa_type=sa.Numeric(21, 6))
    happened_at: datetime = Field(sa_type=Moment)
    state: PushState = Field(default=PushState.waiting, sa_type=one_of(PushState))
    attempts: int = 0
    next_attempt_at: datetime = Field(default_factory=now, sa_type=Moment)
    unsure_since: datetime | None = Field(default=None, sa_type=Moment)
    """When the first attempt began of which nobody knows what came."""
    last_error: str | None = None
    sent_at: datetime | None = Field(default=None, sa_type=Moment)
    created_at: datetime = Field(default_factory=now, sa_type=Moment)


class Used(Protocol):
    """A usage event, as far as Stripe is told of it."""

    id: str
    customer_id: str | None
    meter: str
    quantity: Decimal
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a push, and all that is needed to make it."""

    project_id: str
    push_id: str
    number: int
    unsure_since: datetime | None
    """As it was before this attempt."""
    key: str = field(repr=False)
    key_set_at: datetime
    event_name: str
    customer: str
    value: Decimal
    at: datetime


_PUT_OUT = text(
    "insert into pushes (id, project_id, customer_id, stripe_customer_id, event_name, value, happened_at, state,"
    " attempts, next_attempt_at, created_at) select :id, c.project_id, c.id, c.external_ids ->> :stripe, :event_name,"
    " :value, :at, 'waiting', 0, :at, :at from customers c join stripe_accounts a on a.project_id = c.project_id"
    " where c.project_id = :project_id and c.id = :customer_id and c.external_ids ? :stripe"
)


async def put_out(session: AsyncSession, project_id: str, used: Used) -> None:
    """Have Stripe told of a use, if the project has an account there and the customer is known to it."""
    row = {"id": used.id, "event_name": used.meter, "value": used.quantity, "at": used.created_at}
    whose = {"project_id": project_id, "customer_id": used.customer_id, "stripe": STRIPE}
    if (await execute(session, _PUT_OUT, row | whose)).rowcount:
        signals.send(session, DUE)


async def browse(session: AsyncSession, caller: Caller, customer_id: str, place: Place = FIRST) -> Page[Push]:
    """Return what Stripe was, or is to be, told of a customer, newest first. Raises `NotFound`."""
    await customers.find(session, caller, customer_id, archived=True)
    return await page(session, _of(caller, customer_id), Push, place)


async def counts(session: AsyncSession, caller: Caller, customer_id: str | None = None) -> dict[PushState, int]:
    """Return how many pushes of the project, or of one customer, are in each state but that of having been sent."""
    customers.require(caller, "customers:read")
    is_open = (col(Push.project_id) == caller.project_id, col(Push.state) != PushState.sent.value)
    query = sa.select(col(Push.state), func.count()).where(*is_open)
    if customer_id is not None:
        query = query.where(col(Push.customer_id) == customer_id)
    found = (await execute(session, query.group_by(col(Push.state)))).all()
    return dict.fromkeys((PushState.waiting, PushState.dead, PushState.unsure), 0) | {row[0]: row[1] for row in found}


async def retry(session: AsyncSession, caller: Caller, customer_id: str, push_ids: Collection[str] = ()) -> int:
    """Send a customer's dead pushes again, or those that are named, also unsure ones; return how many.

    They go to whom the customer is at Stripe by now. Raises `NotFound`.
    """
    customers.require(caller, "customers:write")
    customer = await customers.find(session, caller, customer_id, archived=True)
    states = (PushState.dead, PushState.unsure) if push_ids else (PushState.dead,)
    theirs = (col(Push.project_id) == caller.project_id, col(Push.customer_id) == customer_id)
    again = sa.update(Push).where(*theirs, col(Push.state).in_(states))
    if push_ids:
        again = again.where(col(Push.id).in_(push_ids))
    anew = {"state": PushState.waiting, "attempts": 0, "next_attempt_at": func.clock_timestamp(), "unsure_since": None}
    whom = {"stripe_customer_id": customer.at_stripe or col(Push.stripe_customer_id)}
    many = (await execute(session, again.values(anew | whom))).rowcount
    await audit.note(session, caller, "customer.pushed_again", customer_id, pushes=many, named=sorted(push_ids))
    signals.send(session, DUE, topic(customer_id))
    return many


async def disconnect(session: AsyncSession, caller: Caller) -> None:
    """Forget the project's key for Stripe; what waits will not be sent. Raises `NotFound`."""
    await stripe_accounts.disconnect(session, caller)
    await _give_up(session, caller.project_id, "The project disconnected its Stripe account.")


_UNREAD = (
    "push_tokens and read_at <= clock_timestamp() - make_interval(secs => :apart) and exists (select from model_calls m"
    " where m.project_id = a.project_id and m.position >= a.seen_position and m.position < feed_horizon())"
)
_DUE = text(
    "select project_id from stripe_accounts a where paused_until <= clock_timestamp() and (exists (select from pushes p"
    " where p.project_id = a.project_id and p.state = 'waiting' and p.next_attempt_at <= clock_timestamp())"
    f" or {_UNREAD}) order by greatest(paused_until, served_at, (select min(p.next_attempt_at) from pushes p"
    " where p.project_id = a.project_id and p.state = 'waiting')), project_id limit :most"
)
_READ = text(f"select feed_horizon() from stripe_accounts a where project_id = :project_id and {_UNREAD}")
_TOKENS = text(
    "select m.customer_id, c.external_ids ->> :stripe, max(m.at), sum(m.input_tokens)::bigint,"
    " sum(m.output_tokens)::bigint from model_calls m"
    " join customers c on c.project_id = m.project_id and c.id = m.customer_id and c.external_ids ? :stripe"
    " where m.project_id = :project_id and m.position >= :since and m.position < :until"
    " group by m.customer_id, 2, date_trunc('hour', m.at)"
)


async def due(session: AsyncSession, most: int) -> list[tuple[str, ...]]:
    """Return the projects of which something is to be pushed, first who waits longest for its turn.

    For the dispatcher's transaction.
    """
    return [(row[0],) for row in (await execute(session, _DUE, {"most": most, "apart": APART_SECONDS})).all()]


async def take(session: AsyncSession, project_id: str) -> list[Attempt]:
    """Begin attempts at what is due of a project, and hold it for them; nothing, if none is due or others have it."""
    account = await stripe_accounts.of(session, project_id)
    if account is None or account.paused_until > now():
        return []
    if (await projects.at(session, project_id)).archived_at is not None:
        await session.delete(account)
        await _give_up(session, project_id, "The project was deleted.")
        return []
    await _read_on(session, project_id)
    moment = await moment_in(session)
    await _end_the_old(session, project_id, moment)
    key = (await keyrings.find(session, project_id)).unseal(account.sealed_key).decode()
    due_now = (Push.state == PushState.waiting, Push.next_attempt_at <= moment)
    query = select(Push).where(Push.project_id == project_id, *due_now).order_by(col(Push.next_attempt_at), Push.id)
    attempts = []
    for push in (await session.exec(query.limit(AT_ONCE).with_for_update(skip_locked=True))).all():
        before, push.unsure_since = push.unsure_since, push.unsure_since or moment
        push.attempts += 1
        push.next_attempt_at = moment + timedelta(seconds=HOLD_SECONDS)
        attempts.append(_attempt(push, before, key, account))
    if attempts:
        account.served_at = moment
    return attempts


async def settle(session: AsyncSession, attempt: Attempt, answer: Answer) -> None:
    """Keep what came of an attempt. Nothing, if another has begun meanwhile, but that Stripe has it."""
    mine = select(Push).where(Push.project_id == attempt.project_id, Push.id == attempt.push_id)
    push = (await session.exec(mine.with_for_update())).one()
    if answer.came is Came.accepted:
        push.state, push.sent_at, push.last_error = PushState.sent, now(), None
    elif push.attempts != attempt.number or push.state is not PushState.waiting:
        return
    else:
        push.last_error = keepable(answer.error)
        if answer.came is not Came.unknown:
            push.unsure_since = attempt.unsure_since
        if answer.came is Came.rejected:
            push.state = PushState.dead if push.unsure_since is None else PushState.unsure
        wait = RETRIES_SECONDS[min(attempt.number, len(RETRIES_SECONDS)) - 1] * random.uniform(*JITTER)
        push.next_attempt_at = await moment_in(session, wait)
    await session.flush()
    await _heed_the_key(session, attempt, answer)
    signals.send(session, topic(push.customer_id))


async def let_go(session: AsyncSession, attempt: Attempt) -> None:
    """Leave an attempt that was broken off to whoever comes next."""
    mine = (col(Push.project_id) == attempt.project_id, col(Push.id) == attempt.push_id)
    held = (col(Push.attempts) == attempt.number, col(Push.state) == PushState.waiting)
    await execute(session, sa.update(Push).where(*mine, *held).values(next_attempt_at=func.clock_timestamp()))


def topic(customer_id: str) -> str:
    """Return what to listen to for what becomes of a customer's pushes."""
    return f"pushes:{customer_id}"


async def _heed_the_key(session: AsyncSession, attempt: Attempt, answer: Answer) -> None:
    """Pause the account whose key was refused, or go on with one that works again; one set meanwhile is left alone."""
    refused = answer.came is Came.key_refused
    if answer.silent:
        return await _leave_alone(session, attempt)
    if not refused and answer.came is not Came.accepted:
        return
    problem = keepable(answer.error) if refused else None
    until = now() + PAUSE if refused else datetime.fromtimestamp(0, UTC)
    news = col(StripeAccount.problem).is_distinct_from(problem) | (col(StripeAccount.silences) > 0)
    deed = sa.update(StripeAccount).where(*_same_key(attempt), news)
    await execute(session, deed.values(problem=problem, paused_until=until, silences=0))


async def _leave_alone(session: AsyncSession, attempt: Attempt) -> None:
    """Pause the account whose Stripe is silent, once for all that were sent together: it would hold a lane again."""
    first, most = SILENCE_SECONDS
    seconds = func.least(first * func.power(2, func.least(col(StripeAccount.silences), 30)), most)
    until = func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
    going_on = col(StripeAccount.paused_until) <= func.clock_timestamp()
    deed = sa.update(StripeAccount).where(*_same_key(attempt), going_on)
    await execute(session, deed.values(silences=StripeAccount.silences + 1, paused_until=until))


def _same_key(attempt: Attempt) -> tuple[sa.ColumnElement[bool], ...]:
    mine = col(StripeAccount.project_id) == attempt.project_id
    return mine, col(StripeAccount.updated_at) == attempt.key_set_at


async def _end_the_old(session: AsyncSession, project_id: str, moment: datetime) -> None:
    """Give up, of what is due by then, what can not be sent again without doubt and what Stripe would not take."""
    waits = (col(Push.project_id) == project_id, col(Push.state) == PushState.waiting)
    due_now = col(Push.next_attempt_at) <= moment
    doubt = sa.update(Push).where(*waits, due_now, col(Push.unsure_since) < now() - COUNTED_ONCE_FOR)
    await execute(session, doubt.values(state=PushState.unsure))
    old = sa.update(Push).where(*waits, due_now, col(Push.happened_at) < now() - TAKEN_FOR)
    await execute(session, old.values(state=_GIVEN_UP, last_error="Stripe takes nothing that is so old."))


async def _read_on(session: AsyncSession, project_id: str) -> None:
    """Make pushes of the tokens that were used since the ledger was last read, for each customer and hour a pair.

    Whoever else reads it meanwhile is not waited for. What is made and how far it was read are kept as one.
    """
    mine = select(StripeAccount).where(StripeAccount.project_id == project_id).with_for_update(skip_locked=True)
    account = (await session.exec(mine)).first()
    read = (await execute(session, _READ, {"project_id": project_id, "apart": APART_SECONDS})).scalar()
    if account is None or read is None:
        return
    asked = {"project_id": project_id, "stripe": STRIPE, "since": account.seen_position, "until": read}
    account.seen_position, account.read_at = read, now()
    for customer_id, at_stripe, at, *tokens in (await execute(session, _TOKENS, asked)).all():
        for event_name, number in zip(TOKEN_METERS, tokens, strict=True):
            push = Push(
                id=new_id("psh"),
                project_id=project_id,
                customer_id=customer_id,
                stripe_customer_id=at_stripe,
                event_name=event_name,
                value=Decimal(number),
                happened_at=at,
                next_attempt_at=account.read_at,
            )
            session.add_all([push] if number else [])
    await session.flush()


async def _give_up(session: AsyncSession, project_id: str, why: str) -> None:
    waits = (col(Push.project_id) == project_id, col(Push.state) == PushState.waiting)
    await execute(session, sa.update(Push).where(*waits).values(state=_GIVEN_UP, last_error=why))


_GIVEN_UP = sa.case((col(Push.unsure_since).is_(None), PushState.dead.value), else_=PushState.unsure.value)


def _attempt(push: Push, unsure_since: datetime | None, key: str, account: StripeAccount) -> Attempt:
    return Attempt(
        project_id=push.project_id,
        push_id=push.id,
        number=push.attempts,
        unsure_since=unsure_since,
        key=key,
        key_set_at=account.updated_at,
        event_name=push.event_name,
        customer=push.stripe_customer_id,
        value=push.value,
        at=push.happened_at,
    )


def _of(caller: Caller, customer_id: str) -> Any:
    return select(Push).where(Push.project_id == caller.project_id, Push.customer_id == customer_id)
