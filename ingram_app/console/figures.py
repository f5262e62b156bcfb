"""How figures, moments and people are written, and how a figure is read."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from ingram_app.domain.periods import Period

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Letters that nobody sees, or that turn others round."""
_SUM = re.compile(r"\$?((?=\.?[0-9])[0-9]{0,9}(?:\.[0-9]{0,6})?)")


def money(micros: int | None) -> str:
    """Write millionths of a US dollar: cents, and as many digits more as a smaller sum needs."""
    if micros is None:
        return "–"
    dollars = micros / 1_000_000
    if micros == 0 or dollars >= 0.01:
        return f"${dollars:,.2f}"
    return f"${dollars:.6f}".rstrip("0")


def micros(text: str) -> int | None:
    """Read US dollars, of at most six digits behind the point, as millionths; `None` for anything else."""
    sum = _SUM.fullmatch(text.strip())
    return int(Decimal(sum[1]) * 1_000_000) if sum else None


def count(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"


def duration(began: datetime | None, ended: datetime | None) -> str:
    """Write how long something took, a dash while it has not ended."""
    if began is None or ended is None:
        return "–"
    seconds = (ended - began).total_seconds()
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def counted(number: int, noun: str) -> str:
    """Write a number with its noun: `1 run`, `2 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def whole(text: str) -> int | None:
    """Read a whole number of at most nine digits, `None` for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def moment(at: datetime | None) -> str:
    """Write a moment as `relative_time` reads it, empty for none."""
    return at.isoformat() if at else ""


def days(period: Period | None) -> str:
    """Write the days that a list was asked for: `3 Nov 2026 to 5 Nov 2026`."""
    if period is None:
        return "not understood, so all there are"
    first, last = (f"{day:%-d %b %Y}" for day in (period.days[0], period.days[-1]))
    return first if first == last else f"{first} to {last}"


def author(actor: dict[str, Any] | None) -> str:
    """Write who did something: a person's address, else what kind of key it was, else the platform."""
    actor = actor or {}
    kind = actor.get("kind") or "platform"
    return actor.get("email") or {"tenant": "API", "platform": "the platform"}.get(kind, kind)


def thread_end(id: str) -> str:
    """Write a thread's id, one of ours by its end alone."""
    return f"thr_…{id[-6:]}" if id.startswith("thr_") else id


def legible(text: str) -> str:
    """Write every letter that would not be seen, or would have others be seen where they are not, as its number."""
    return _UNSEEN.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", text)
