"""Adding up: what model calls took becomes sums that any month is read from at once."""

from ingram_app.domain import usage
from ingram_app.engine import rounds

SECONDS = 10


async def add_up_forever() -> None:
    """Add up what is new, every few seconds; of each project one process at a time."""
    await rounds.go_forever(usage.behind, usage.fold, SECONDS)
