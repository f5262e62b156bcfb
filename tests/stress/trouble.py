"""Trouble: what befalls the plant, chosen by chance from a seed."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable

from tests.stress.plant import Engine, Plant, Server


class Trouble:
    """Does something to the plant every second or so. One process that serves is left alone at any time."""

    def __init__(self, plant: Plant, chance: random.Random) -> None:
        self._plant = plant
        self._chance = chance
        self.done: Counter[str] = Counter()
        kinds: list[tuple[str, int, Callable[[], Awaitable[None]]]] = [
            ("server killed", 4, lambda: self._again(chance.choice(plant.servers), "kill")),
            ("server restarted", 2, lambda: self._again(chance.choice(plant.servers), "stop")),
            ("engine killed", 4, lambda: self._again(chance.choice(plant.engines), "kill")),
            ("engine restarted", 2, lambda: self._again(chance.choice(plant.engines), "stop")),
            ("PostgreSQL stopped", 4, lambda: self._halt(signal.SIGINT)),
            ("PostgreSQL killed", 2, lambda: self._halt(signal.SIGQUIT)),
        ]
        self._kinds = [kind for kind in kinds if plant.engines or not kind[0].startswith("engine")]

    async def make(self, seconds: float) -> None:
        """Make trouble for so long, one at a time; all is up again when this returns."""
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(self._chance.uniform(0.2, 1.5))
            [(name, _, deed)] = self._chance.choices(self._kinds, [weight for _, weight, _ in self._kinds])
            await deed()
            self.done[name] += 1

    async def _again(self, process: Server | Engine, how: str) -> None:
        await asyncio.to_thread(getattr(process, how))
        await asyncio.sleep(self._chance.uniform(0, 1))
        await asyncio.to_thread(process.start)

    async def _halt(self, how: signal.Signals) -> None:
        await asyncio.to_thread(self._plant.halt_postgres, how)
        await asyncio.sleep(self._chance.uniform(0.2, 3))
        await asyncio.to_thread(self._plant.start_postgres)
