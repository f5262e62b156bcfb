"""Customers: whom a project bills for the smiths that it assigns to them.

live ──archive──▶ archived: its smiths are nobody's from then on; what was used before stays with it.

Which customer a smith is assigned to is written at the smith. What is used is stamped with that customer when it
happens, so an assignment moves nothing that lies behind it.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Index, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, execute
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.core.ids import new_id
from ingram_app.domain import audit
from ingram_app.domain.access import Caller, TenantTokenRequired
from ingram_app.domain.agents import NothingToUpdate
from ingram_app.domain.paging import FIRST, Page, Place, page

NAME_LENGTH = 200
EXTERNAL_IDS = 20
EXTERNAL_NAME_LENGTH = 64
EXTERNAL_ID_LENGTH = 255
STRIPE = "stripe_customer_id"
"""The external id that Stripe knows a customer by."""
UNASSIGNED = "principal:"
"""How what an unassigned smith uses is called where usage is shown by customer: this and the smith's id."""


class Customer(SQLModel, table=True):
    __tablename__ = "customers"
    __table_args__ = (Index("ix_customers_page", "project_id", "created_at", "id"),)

    id: str = Field(default_factory=lambda: new_id("cus"), primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE")
    name: str
    external_ids: dict[str, str] = Field(default_factory=dict, sa_type=JSONB)
    """What other systems know it by, under a name for each: `{"stripe_customer_id": "cus_…"}`."""
    about: dict[str, Any] = Field(default_factory=dict, sa_column=sa.Column("metadata", JSONB, nullable=False))
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    updated_at: datetime = Field(default_factory=now, sa_type=Moment)
    archived_at: datetime | None = Field(default=None, sa_type=Moment)

    @property
    def at_stripe(self) -> str | None:
        return self.external_ids.get(STRIPE)


_smiths = sa.table(
    "smiths", sa.column("project_id"), sa.column("customer_id"), sa.column("archived_at"), sa.column("updated_at")
)


class InvalidCustomerName(Invalid):
    """A customer's name has from 1 to 200 characters."""

    code = "invalid_name"


class InvalidExternalIds(Invalid):
    """`external_ids` are at most 20, each a name of 1 to 64 characters and an id of 1 to 255."""


async def create(
    session: AsyncSession,
    caller: Caller,
    *,
    name: str,
    external_ids: dict[str, str] | None = None,
    metadata: dict[str, Any] | None = None,
) -> Customer:
    """Make a customer. Raises `InvalidCustomerName`, `InvalidExternalIds`."""
    require(caller, "customers:write")
    ids = _checked_ids(external_ids or {})
    customer = Customer(project_id=caller.project_id, name=_checked_name(name), external_ids=ids, about=metadata or {})
    session.add(customer)
    await session.flush()
    await audit.note(session, caller, "customer.created", customer.id, name=customer.name, external_ids=ids)
    return customer


async def find(session: AsyncSession, caller: Caller, customer_id: str, *, archived: bool = False) -> Customer:
    """Return one of the project's live customers, or also an `archived` one. Raises `NotFound`."""
    require(caller, "customers:read")
    return await _one(session, _of(caller, customer_id, archived=archived), customer_id)


async def join(session: AsyncSession, caller: Caller, customer_id: str) -> Customer:
    """Return a customer that a smith is to be assigned to: it stays live until the transaction ends.

    It is asked for before the smith is held. Raises `NotFound`.
    """
    caller.require("smiths:write")
    stays = _of(caller, customer_id).with_for_update(key_share=True, read=True)
    return await _one(session, stays, customer_id, param="customer_id")


async def browse(session: AsyncSession, caller: Caller, place: Place = FIRST, *, name_part: str = "") -> Page[Customer]:
    """Return the project's live customers whose name has `name_part` in it, in any case; newest first."""
    require(caller, "customers:read")
    query = select(Customer).where(Customer.project_id == caller.project_id, col(Customer.archived_at).is_(None))
    if name_part:
        query = query.where(col(Customer.name).icontains(name_part, autoescape=True))
    return await page(session, query, Customer, place)


async def known(session: AsyncSession, caller: Caller, customer_ids: Collection[str]) -> dict[str, Customer]:
    """Return those customers of the project, by id, also archived ones: whom a list of something else is about."""
    require(caller, "customers:read")
    query = select(Customer).where(Customer.project_id == caller.project_id, col(Customer.id).in_(customer_ids))
    return {customer.id: customer for customer in (await session.exec(query)).all()}


async def smith_counts(session: AsyncSession, caller: Caller, customer_ids: Collection[str]) -> dict[str, int]:
    """Return how many live smiths are assigned to each of the customers."""
    require(caller, "customers:read")
    theirs = (_smiths.c.project_id == caller.project_id, _smiths.c.customer_id.in_(list(customer_ids)))
    counted = sa.select(_smiths.c.customer_id, func.count()).where(*theirs, _smiths.c.archived_at.is_(None))
    found = await execute(session, counted.group_by(_smiths.c.customer_id))
    return dict.fromkeys(customer_ids, 0) | {row[0]: row[1] for row in found.all()}


async def change(session: AsyncSession, caller: Caller, customer_id: str, changes: dict[str, Any]) -> Customer:
    """Change `name`, `external_ids` or `metadata`, each as a whole.

    Raises `NotFound`, `NothingToUpdate`, `InvalidCustomerName`, `InvalidExternalIds`.
    """
    require(caller, "customers:write")
    if not changes:
        raise NothingToUpdate()
    customer = await _one(session, _of(caller, customer_id).with_for_update(key_share=True), customer_id)
    if "name" in changes:
        customer.name = _checked_name(changes["name"])
    if "external_ids" in changes:
        customer.external_ids = _checked_ids(changes["external_ids"])
    if "metadata" in changes:
        customer.about = changes["metadata"]
    customer.updated_at = now()
    await session.flush()
    told = {name: value for name, value in changes.items() if name != "metadata"}
    await audit.note(session, caller, "customer.changed", customer_id, fields=sorted(changes), **told)
    return customer


async def archive(session: AsyncSession, caller: Caller, customer_id: str) -> int:
    """Take a customer out of use, and return how many smiths it leaves unassigned. Raises `NotFound`.

    What was used before stays with it, and goes on to Stripe.
    """
    require(caller, "customers:write")
    customer = await _one(session, _of(caller, customer_id).with_for_update(), customer_id)
    customer.archived_at = customer.updated_at = now()
    await session.flush()
    theirs = (_smiths.c.project_id == caller.project_id, _smiths.c.customer_id == customer_id)
    release = sa.update(_smiths).where(*theirs, _smiths.c.archived_at.is_(None))
    left = (await execute(session, release.values(customer_id=None, updated_at=customer.updated_at))).rowcount
    await audit.note(session, caller, "customer.archived", customer_id, name=customer.name, smiths=left)
    return left


def require(caller: Caller, permission: str) -> None:
    """Customers are a matter of who runs the project: no smith's token has a say, whatever it carries."""
    caller.require(permission)
    if caller.smith_id:
        raise TenantTokenRequired()


def _checked_name(name: str) -> str:
    name = name.strip()
    if not 1 <= len(name) <= NAME_LENGTH:
        raise InvalidCustomerName(param="name")
    return name


def _checked_ids(ids: dict[str, str]) -> dict[str, str]:
    kept = {name.strip(): value.strip() for name, value in ids.items()}
    fits = all(
        1 <= len(name) <= EXTERNAL_NAME_LENGTH and 1 <= len(value) <= EXTERNAL_ID_LENGTH for name, value in kept.items()
    )
    if len(kept) > EXTERNAL_IDS or not fits:
        raise InvalidExternalIds(param="external_ids")
    return kept


async def _one(session: AsyncSession, query: Any, customer_id: str, param: str | None = None) -> Customer:
    customer: Customer | None = (await session.exec(query)).first()
    if customer is None:
        raise NotFound(noun="customer", id=customer_id, param=param)
    return customer


def _of(caller: Caller, customer_id: str, *, archived: bool = False) -> Any:
    query = select(Customer).where(Customer.project_id == caller.project_id, Customer.id == customer_id)
    return query if archived else query.where(col(Customer.archived_at).is_(None))
