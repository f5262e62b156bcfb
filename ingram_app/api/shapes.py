"""Shapes that several routes share."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict

from ingram_app.core.clock import in_utc

Item = TypeVar("Item")
_FIRST, _LAST = (end.replace(tzinfo=UTC) for end in (datetime.min, datetime.max))
_ZONE = timedelta(days=1)
"""No zone is further from another."""


def _kept(given: datetime) -> datetime:
    moment = in_utc(given)
    if not _FIRST + _ZONE < moment < _LAST - _ZONE:
        raise ValueError("it is too far away to be kept")
    return moment


When = Annotated[datetime, AfterValidator(_kept)]
"""A time that is to be kept, and can be read again in every zone; one without a zone is in UTC."""


class In(BaseModel):
    """A request's body. What it does not know it refuses, so that nothing said is silently lost."""

    model_config = ConfigDict(extra="forbid")


class Out(BaseModel):
    """An answer's body."""

    model_config = ConfigDict(from_attributes=True)


class ErrorTold(Out):
    message: str
    """For people: what is wrong, and what to do."""
    type: Literal["invalid_request_error", "authentication_error", "permission_error", "rate_limit_error", "api_error"]
    param: str | None
    """The field at fault, dotted."""
    code: str
    """For programs: it never changes."""


class ErrorOut(Out):
    """Every failure is answered so."""

    error: ErrorTold


class PageOut(BaseModel, Generic[Item]):
    """One page, newest first. Send `next_cursor` as `cursor` for the next."""

    model_config = ConfigDict(from_attributes=True)

    data: Sequence[Item]
    next_cursor: str | None
    has_more: bool


class ListOut(BaseModel, Generic[Item]):
    """All there is."""

    data: Sequence[Item]
