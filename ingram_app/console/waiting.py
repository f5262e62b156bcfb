"""How many approvals wait for somebody: the number in the sidebar, live."""

import reflex as rx

from ingram_app.console.following import stirred
from ingram_app.console.session import standing
from ingram_app.core import signals
from ingram_app.core.database import transaction
from ingram_app.domain import approvals


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
                await stirred(heard)
                caller = await standing(self)
