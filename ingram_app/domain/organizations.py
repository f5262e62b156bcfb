"""Organizations: the company accounts. Teammates sign in to one; projects belong to one."""

from datetime import datetime

from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, Tenancy, enter
from ingram_app.core.ids import new_id
from ingram_app.domain import keyrings
from ingram_app.domain.access import Caller


class Organization(SQLModel, table=True):
    __tablename__ = "organizations"

    id: str = Field(default_factory=lambda: new_id("org"), primary_key=True)
    name: str = Field(max_length=120)
    created_at: datetime = Field(default_factory=now, sa_type=Moment)


async def create(session: AsyncSession, name: str) -> Organization:
    """Found an organization, with keys of its own, and go on as it."""
    organization = Organization(name=name)
    session.add(organization)
    await session.flush()
    enter(session, Tenancy(organization_id=organization.id))
    await keyrings.create(session, organization.id)
    return organization


async def own(session: AsyncSession, caller: Caller) -> Organization:
    """Return the organization that the caller is of."""
    return (await session.exec(select(Organization).where(Organization.id == caller.organization_id))).one()


async def adopt(session: AsyncSession, name: str) -> Organization:
    """Return the oldest organization of this name, founded if there is none, and go on as it."""
    query = select(Organization).where(Organization.name == name).order_by(Organization.id).limit(1)
    found = (await session.exec(query)).first()
    if found is None:
        return await create(session, name)
    enter(session, Tenancy(organization_id=found.id))
    return found
