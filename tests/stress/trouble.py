"""Trouble: what befalls the plant, chosen by chance from a seed."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Callable

from tests.stress.plant import Engine, Plant, Server

POSTGRES = "PostgreSQL"
Victim = Server | Engine | str


class Trouble:
    """Does something to the plant every second or so, also while it still recovers from what came before."""

    def __init__(self, plant: Plant, chance: random.Random) -> None:
        self._plant = plant
        self._chance = chance
        self._down: set[Victim] = set()
        self.done: Counter[str] = Counter()
        self._kinds: list[tuple[str, int, list[Victim], Callable[[], None] | str]] = [
            ("server killed", 4, [*plant.servers], "kill"),
            ("server restarted", 2, [*plant.servers], "stop"),
            ("engine killed", 4, [*plant.engines], "kill"),
            ("engine restarted", 2, [*plant.engines], "stop"),
            ("PostgreSQL stopped", 3, [POSTGRES], lambda: plant.halt_postgres(signal.SIGINT)),
            ("PostgreSQL killed", 2, [POSTGRES], lambda: plant.halt_postgres(signal.SIGQUIT)),
        ]

    async def make(self, seconds: float, outage: float = 0) -> None:
        """Make trouble for so long; all is up again when this returns.

        With an `outage`, in seconds, PostgreSQL is away once for that long, from a third of the time on.
        """
        until = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as troubles:
            if outage:
                troubles.create_task(self._be_away(seconds / 3, outage))
            while asyncio.get_running_loop().time() < until:
                await asyncio.sleep(self._chance.uniform(0.2, 1.5))
                [(name, _, victims, how)] = self._chance.choices(self._kinds, [weight for _, weight, *_ in self._kinds])
                standing = [victim for victim in victims if victim not in self._down]
                if standing:
                    troubles.create_task(self._befall(self._chance.choice(standing), how))
                    self.done[name] += 1

    async def _be_away(self, after: float, seconds: float) -> None:
        await asyncio.sleep(after)
        while POSTGRES in self._down:  # noqa: ASYNC110 - others start it in their own time
            await asyncio.sleep(0.1)
        self._down.add(POSTGRES)
        self.done["PostgreSQL away for long"] += 1
        await self._end_and_start(lambda: self._plant.halt_postgres(signal.SIGINT), seconds, self._plant.start_postgres)
        self._down.remove(POSTGRES)

    async def _befall(self, victim: Victim, how: Callable[[], None] | str) -> None:
        self._down.add(victim)
        pause = self._chance.uniform(0, 2)
        if isinstance(victim, str):
            assert callable(how)
            await self._end_and_start(how, pause, self._plant.start_postgres)
        else:
            await self._end_and_start(getattr(victim, str(how)), pause, victim.start)
        self._down.remove(victim)

    async def _end_and_start(self, end: Callable[[], None], pause: float, start: Callable[[], None]) -> None:
        await asyncio.to_thread(end)
        await asyncio.sleep(pause)
        await asyncio.to_thread(start)
