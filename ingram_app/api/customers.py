"""/v1/customers: whom the project bills for its smiths. Which customer a smith is assigned to is said at the smith."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field, StringConstraints

from ingram_app.api.deps import Caller, InTransaction, Place, Route
from ingram_app.api.shapes import In, Out, PageOut
from ingram_app.domain import customers
from ingram_app.domain.customers import (
    EXTERNAL_ID_LENGTH,
    EXTERNAL_IDS,
    EXTERNAL_NAME_LENGTH,
    NAME_LENGTH,
    Customer,
)
from ingram_app.domain.paging import Page

router = APIRouter(prefix="/customers", tags=["customers"], route_class=Route)
Name = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH, examples=["Hotel Post"])]
ExternalIds = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=EXTERNAL_NAME_LENGTH)],
        Annotated[str, StringConstraints(min_length=1, max_length=EXTERNAL_ID_LENGTH)],
    ],
    Field(max_length=EXTERNAL_IDS, examples=[{"stripe_customer_id": "cus_Na6dX7aXxi11N4"}]),
]
"""What other systems know it by. Stripe's is `stripe_customer_id`."""


class NewCustomer(In):
    name: Name
    external_ids: ExternalIds = {}
    metadata: dict[str, Any] = {}


class CustomerChange(In):
    name: Name = ""
    external_ids: ExternalIds = {}
    metadata: dict[str, Any] = {}


class CustomerListed(Out):
    id: str
    name: str
    external_ids: dict[str, str]
    metadata: dict[str, Any] = Field(validation_alias="about")
    created_at: datetime
    updated_at: datetime


class CustomerOut(CustomerListed):
    smith_count: int
    """Live smiths that are assigned to it."""


@router.post("", status_code=201, response_model=CustomerListed)
async def create_customer(body: NewCustomer, caller: Caller, session: InTransaction) -> Customer:
    """Make a customer. Assign smiths to it with `customer_id` at the smith."""
    return await customers.create(session, caller, **body.model_dump())


@router.get("", response_model=PageOut[CustomerListed])
async def list_customers(caller: Caller, session: InTransaction, place: Place) -> Page[Customer]:
    """List the project's customers, newest first."""
    return await customers.browse(session, caller, place)


@router.get("/{customer_id}", response_model=CustomerOut)
async def get_customer(customer_id: str, caller: Caller, session: InTransaction) -> dict[str, Any]:
    """Show one customer, and how many smiths are assigned to it."""
    customer = await customers.find(session, caller, customer_id)
    counts = await customers.smith_counts(session, caller, [customer_id])
    return customer.model_dump() | {"smith_count": counts[customer_id]}


@router.patch("/{customer_id}", response_model=CustomerListed)
async def change_customer(customer_id: str, body: CustomerChange, caller: Caller, session: InTransaction) -> Customer:
    """Change a customer; `external_ids` and `metadata` are replaced as a whole."""
    return await customers.change(session, caller, customer_id, body.model_dump(exclude_unset=True))


@router.delete("/{customer_id}", status_code=204)
async def delete_customer(customer_id: str, caller: Caller, session: InTransaction) -> None:
    """Archive a customer. Its smiths are unassigned from then on; what they have used stays with it."""
    await customers.archive(session, caller, customer_id)
