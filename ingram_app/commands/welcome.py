"""What a fresh installation says to the person who started it."""

import asyncio

from ingram_app.core.database import NOBODY, pool, transaction
from ingram_app.domain import teammates


def lines() -> list[str]:
    """Return what stands under "ready": until there is an owner, the link that makes one."""
    link = asyncio.run(_link())
    return [f"Create the owner's account, with this link, once: {link}"] if link else []


async def _link() -> str | None:
    try:
        async with transaction(NOBODY) as session:
            return await teammates.welcome_link(session)
    finally:
        await pool().dispose()
