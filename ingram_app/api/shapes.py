"""Shapes that several routes share."""

from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

Item = TypeVar("Item")


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
