"""Expiry: approvals that nobody has decided in time are closed, and their runs go on, told that nobody has."""

from ingram_app.core.settings import settings
from ingram_app.domain import answers, approvals
from ingram_app.engine import rounds


async def expire_forever() -> None:
    """Close approvals whose time is over."""
    await rounds.go_forever(approvals.overdue, answers.expire, settings().run_lease_seconds / 3)
