"""Tools for tests: siblings of the hosted ones, which tell how often and with what they were used."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from ingram_app.domain.hosted_tools import HOSTED_TOOLS, Function, HostedTool
from ingram_app.engine.tools import DEEDS, ToolRefused, Use

ANYTHING = {"type": "object", "properties": {"n": {"type": "integer"}}}


class Probe:
    """The bundle `probe`, as long as it is installed."""

    def __init__(self, dies_in: Path | None = None) -> None:
        self.uses: list[tuple[str, dict[str, Any], str]] = []
        self.returns: Any = "noted"
        self.barrier = asyncio.Barrier(3)
        self.started, self.goes_on = asyncio.Event(), asyncio.Event()
        self._dies_in = dies_in

    @property
    def bundle(self) -> HostedTool:
        functions = [Function(name, "A probe.", ANYTHING, repeatable=name != "charge") for name in self.deeds]
        return HostedTool("probe", "Probe", "For tests.", tuple(functions))

    @property
    def deeds(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("charge", "look", "meet", "fail", "refuse", "wait")}

    def install(self) -> "Probe":
        HOSTED_TOOLS["probe"] = self.bundle
        DEEDS.update(self.deeds)
        return self

    def remove(self) -> None:
        del HOSTED_TOOLS["probe"]
        for name in self.deeds:
            del DEEDS[name]

    async def charge(self, use: Use, arguments: dict[str, Any]) -> Any:
        """Has an effect: not to be done twice. In a process that is to die, it dies right after."""
        self.uses.append(("charge", arguments, use.idempotency_id))
        if self._dies_in is not None:
            self._dies_in.write_text(use.idempotency_id)
            os.kill(os.getpid(), signal.SIGKILL)
        return self.returns

    async def look(self, use: Use, arguments: dict[str, Any]) -> Any:
        """Has none."""
        self.uses.append(("look", arguments, use.idempotency_id))
        return self.returns

    async def meet(self, use: Use, arguments: dict[str, Any]) -> str:
        """Returns once three are at it."""
        await self.barrier.wait()
        return "met"

    async def fail(self, use: Use, arguments: dict[str, Any]) -> str:
        raise ConnectionError("the secret address is 10.0.0.7")

    async def refuse(self, use: Use, arguments: dict[str, Any]) -> str:
        raise ToolRefused("Not on a Sunday.")

    async def wait(self, use: Use, arguments: dict[str, Any]) -> str:
        self.uses.append(("wait", arguments, use.idempotency_id))
        self.started.set()
        await self.goes_on.wait()
        return "at last"
