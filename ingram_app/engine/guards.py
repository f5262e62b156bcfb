"""Guards at work: rollouts that break their bounds are taken back within half a minute."""

from ingram_app.domain import guards
from ingram_app.engine import rounds

SECONDS = 15


async def watch_forever() -> None:
    """Check every guarded rollout, at least four times a minute."""
    await rounds.go_forever(guards.watched, guards.check, SECONDS)


async def check_all() -> int:
    """Check every guarded rollout now; return how many were taken back."""
    return await rounds.go(guards.watched, guards.check)
