"""How many approvals wait for somebody: the number in the sidebar, live."""

import asyncio

import reflex as rx

from ingram_app.console.session import standing
from ingram_app.core import signals
from ingram_app.core.database import transaction
from ingram_app.domain import approvals

_APART_SECONDS = 0.5
"""They are counted at most so often."""


class Waiting(rx.State):
    count: int = 0

    @rx.event(background=True)
    async def watch(self):
        """Count them whenever one comes or goes."""
        caller = await standing(self)
        if not caller.project_id:
            return
        with signals.listening(approvals.topic(caller.project_id)) as heard:
            while True:
                async with transaction(caller.tenancy) as session:
                    count = await approvals.waiting(session, caller)
                async with self:
                    self.count = count
                await heard.get()
                await asyncio.sleep(_APART_SECONDS)
                while not heard.empty():
                    heard.get_nowait()
                caller = await standing(self)
