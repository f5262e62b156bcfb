"""/v1/tenant/prices: what a project says that its models cost, in place of the price list."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from ingram_app.api.deps import Caller, InTransaction, Route
from ingram_app.api.shapes import In, ListOut, Out
from ingram_app.domain import own_prices
from ingram_app.gateways.prices import Price

router = APIRouter(prefix="/tenant/prices", tags=["models"], route_class=Route)
Micros = Annotated[int, Field(ge=0, le=10**12, examples=[2_500_000])]
"""Of a million tokens, in millionths of a US dollar."""
Model = Annotated[str, Path(min_length=1, max_length=200, examples=["test/echo"])]


class PriceIn(In):
    input: Micros
    output: Micros
    cache_read: Micros | None = None
    """Unset: as other input."""
    cache_write: Micros | None = None
    """Unset: as other input."""


class PriceOut(Out):
    model: str
    input: int
    output: int
    cache_read: int | None
    cache_write: int | None

    @classmethod
    def of(cls, model: str, price: Price) -> "PriceOut":
        return cls(model=model, **asdict(price))


@router.get("", response_model=ListOut[PriceOut])
async def list_prices(caller: Caller, session: InTransaction) -> ListOut[PriceOut]:
    """List the models that the project has a price of its own for. All others cost what the price list says."""
    found = await own_prices.browse(session, caller)
    return ListOut(data=[PriceOut.of(model, price) for model, price in found.items()])


@router.get("/{model:path}", response_model=PriceOut)
async def get_price(model: Model, caller: Caller, session: InTransaction) -> PriceOut:
    """Show the project's own price of a model."""
    return PriceOut.of(model, await own_prices.find(session, caller, model))


@router.put("/{model:path}", response_model=PriceOut)
async def put_price(model: Model, body: PriceIn, caller: Caller, session: InTransaction) -> PriceOut:
    """Set what a million tokens cost from now on, in millionths of a US dollar. What is free may be priced too."""
    return PriceOut.of(model, await own_prices.put(session, caller, model, Price(**body.model_dump())))


@router.delete("/{model:path}", status_code=204)
async def delete_price(model: Model, caller: Caller, session: InTransaction) -> None:
    """Let the price list hold again, for calls from now on."""
    await own_prices.remove(session, caller, model)
