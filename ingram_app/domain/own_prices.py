"""Own prices: what a project says that a model costs, in place of the price list. They hold for calls from now on."""

from dataclasses import asdict

import sqlalchemy as sa
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import compact, execute
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.domain import audit, projects
from ingram_app.domain.access import Caller
from ingram_app.gateways import providers
from ingram_app.gateways.prices import Price

MOST = 500
"""Models that a project may have a price of its own for."""
_SET = sa.text(
    "update projects set own_prices = jsonb_set(own_prices, array[cast(:model as text)], cast(:price as jsonb))"
    " where id = :project_id and archived_at is null and (own_prices ? cast(:model as text)"
    " or (select count(*) from jsonb_object_keys(own_prices)) < :most)"
)
_REMOVE = sa.text(
    "update projects set own_prices = own_prices - cast(:model as text)"
    " where id = :project_id and archived_at is null and own_prices ? cast(:model as text)"
)


class TooManyPrices(Invalid):
    """A project has prices of its own for at most {most} models. Remove one first."""


class PriceUnspecific(Invalid):
    """A price is of one model: `default` stands for another one from time to time."""


async def browse(session: AsyncSession, caller: Caller) -> dict[str, Price]:
    """Return the project's own prices by model."""
    caller.require("project:read")
    return dict(sorted((await projects.own(session, caller)).prices.items()))


async def find(session: AsyncSession, caller: Caller, model: str) -> Price:
    """Return the project's own price of a model. Raises `NotFound`."""
    price = (await browse(session, caller)).get(model)
    if price is None:
        raise NotFound(noun="price", id=model)
    return price


async def put(session: AsyncSession, caller: Caller, model: str, price: Price) -> Price:
    """Set what a model costs from now on, in place of any price before it; one that is free may cost something too.

    Raises `UnknownProvider`, `PriceUnspecific`, `TooManyPrices`.
    """
    caller.require("project:write")
    if model == "default":
        raise PriceUnspecific(param="model")
    providers.find(model)
    known = {"project_id": caller.project_id, "model": model, "price": compact(asdict(price)), "most": MOST}
    if not (await execute(session, _SET, known)).rowcount:
        raise TooManyPrices(most=MOST, param="model")
    await audit.note(session, caller, "price.set", caller.project_id, model=model, **asdict(price))
    return price


async def remove(session: AsyncSession, caller: Caller, model: str) -> None:
    """Let the price list hold again, for calls from now on. Raises `NotFound`."""
    caller.require("project:write")
    if not (await execute(session, _REMOVE, {"project_id": caller.project_id, "model": model})).rowcount:
        raise NotFound(noun="price", id=model)
    await audit.note(session, caller, "price.removed", caller.project_id, model=model)
