"""JSON Schemas: whether a value is what a schema asks for. A schema fetches nothing, and no pattern of it runs long."""

from functools import lru_cache
from typing import Any

import jsonschema_rs

from ingram_app.core.database import compact

DEPTH = 64
_PATTERNS = jsonschema_rs.FancyRegexOptions(backtrack_limit=100_000)
"""Patterns are the customer's own: one that backtracks without end would stop everybody's process."""


class SchemaWrong(Exception):
    """The schema itself is none."""


def check(schema: dict[str, Any]) -> None:
    """Raises `SchemaWrong`, with why."""
    _validator(compact(schema))


def fault(schema: dict[str, Any], value: Any) -> str | None:
    """Return what is wrong with `value` first of all, and where; nothing when it is right. Raises `SchemaWrong`."""
    validator = _validator(compact(schema))
    if _is_deep(value):
        return f"it is nested deeper than {DEPTH} levels"
    wrong = next(validator.iter_errors(value), None)
    if wrong is None:
        return None
    place = ".".join(str(part) for part in wrong.instance_path)
    return f"{place}: {wrong.message}" if place else wrong.message


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEPTH):
        inner = [held for held in level if isinstance(held, dict | list)]
        level = [item for held in inner for item in (held.values() if isinstance(held, dict) else held)]
        if not level:
            return False
    return True


@lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    try:
        return jsonschema_rs.validator_for(schema, pattern_options=_PATTERNS, retriever=_fetch_nothing)
    except ValueError as wrong:
        raise SchemaWrong(str(wrong).splitlines()[0]) from None


def _fetch_nothing(address: str) -> Any:
    raise ValueError(f"{address} is not part of the schema")
