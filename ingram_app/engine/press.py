"""The press: keeps what the runs of a project that are carried here say at the same moment, in one transaction.

What comes first is kept at once; what comes meanwhile goes together. A run whose words can not be kept so is on its
own: none waits for what another waits for, nor fails with it.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from ingram_app.core.database import Tenancy, transaction
from ingram_app.domain import leases
from ingram_app.domain.frames import Shown
from ingram_app.domain.leases import Lease

log = logging.getLogger(__name__)

_Job = tuple[Lease, list[Shown], "asyncio.Future[bool]"]
_waiting: dict[Tenancy, list[_Job]] = {}
"""Of each project whose runs say something right now, what came while its last transaction was under way."""
_working: set[asyncio.Task[None]] = set()


async def keep(lease: Lease, batch: list[Shown]) -> None:
    """Keep frames of the run, and hand them to its watchers. Raises `LeaseLost`."""
    kept = asyncio.get_running_loop().create_future()
    if lease.tenancy not in _waiting:
        _waiting[lease.tenancy] = []
        task = asyncio.create_task(_work(lease.tenancy))
        _working.add(task)
        task.add_done_callback(_working.discard)
    _waiting[lease.tenancy].append((lease, batch, kept))
    if not await kept:
        async with transaction(lease.tenancy) as session:
            await leases.say_alone(session, lease, batch)


async def _work(tenancy: Tenancy) -> None:
    try:
        while jobs := _waiting[tenancy]:
            _waiting[tenancy] = []
            held = await _kept_together(tenancy, jobs)
            for lease, _, kept in jobs:
                if not kept.done():
                    kept.set_result((lease.run_id, lease.attempt) in held)
    finally:
        del _waiting[tenancy]


async def _kept_together(tenancy: Tenancy, jobs: list[_Job]) -> Sequence[Sequence[Any]]:
    """Keep what several runs say, and return the run and the attempt of each for which it is kept."""
    try:
        async with transaction(tenancy) as session:
            held = leases.say_together(session, [(lease, batch) for lease, batch, _ in jobs])
        return held.all()
    except Exception as failed:  # each finds out by itself whether that is its own doing
        log.info("what %s runs said could not be kept together: %r", len(jobs), failed)
        return ()
