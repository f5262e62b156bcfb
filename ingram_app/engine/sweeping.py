"""Sweeping: what was made for a while goes when that is over."""

from ingram_app.domain import tryouts
from ingram_app.engine import rounds

SECONDS = 300


async def sweep_forever() -> None:
    """Remove scratch smiths that nobody has used for an hour."""
    await rounds.go_forever(tryouts.left, tryouts.forget, SECONDS)


async def sweep() -> int:
    """Remove them now; return how many went."""
    return await rounds.go(tryouts.left, tryouts.forget)
