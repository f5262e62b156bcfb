"""Rendering: the `{{ name }}` in instructions, filled in for one smith.

Plain substitution in one pass. A value is put in as it is: what looks like a name in it stays, nothing is evaluated,
nothing can loop. A name that nobody has declared or given a value stays in the text as it was written.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from ingram_app.domain.designs import NAMED

LENGTH = 200_000
"""Characters of the result; what would go past is cut off."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text with its variables filled in."""

    text: str | None
    warnings: list[dict[str, str]] = field(default_factory=list)
    """`{code, message}`: `variable_missing`, `instructions_cut`."""


def render(text: str | None, variables: Sequence[Mapping[str, Any]], *givers: Mapping[str, Any]) -> Rendered:
    """Fill in `text`: a name has the first value that one of `givers` has for it, or its variable's default.

    A variable that is declared and has no value is left empty; a required one is a warning.
    """
    values: dict[str, Any] = {variable["name"]: variable.get("default") for variable in variables}
    for giver in reversed(givers):
        values |= {name: value for name, value in giver.items() if value is not None or name not in values}
    warnings = [_missing(name) for name in _required(variables) if values[name] is None]
    if text is None:
        return Rendered(None, warnings)
    pieces, length, place = [], 0, 0
    for match in NAMED.finditer(text):
        value = _spelt(values[match[1]]) if match[1] in values else match[0]
        pieces += [text[place : match.start()], value]
        length += match.start() - place + len(value)
        place = match.end()
        if length > LENGTH:
            break
    else:
        pieces.append(text[place:])
    whole = "".join(pieces)
    return Rendered(whole[:LENGTH], warnings + ([_CUT] if len(whole) > LENGTH else []))


def clock(moment: datetime, timezone: str | None) -> str:
    """Return a moment as people in that time zone read it; in UTC when it is none."""
    zone = timezone or "UTC"
    try:
        local = moment.astimezone(ZoneInfo(zone))
    except (KeyError, ValueError, OSError):  # what is unknown, what is a path, what is a folder
        zone, local = "UTC", moment.astimezone(UTC)
    return f"{local:%A, %Y-%m-%d %H:%M} ({zone})"


_CUT = {"code": "instructions_cut", "message": f"The instructions were cut off after {LENGTH:,} characters."}


def _required(variables: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(variable["name"] for variable in variables if variable.get("required")))


def _missing(name: str) -> dict[str, str]:
    told = f"The variable {name} is required and has no value for this smith; it was left empty."
    return {"code": "variable_missing", "message": told}


def _spelt(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
