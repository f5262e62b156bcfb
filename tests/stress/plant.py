"""The plant: servers and engines on one PostgreSQL, each of which can be killed, stopped and started again."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil

from ingram_app.core.cluster import Cluster
from tests.serving import ROOT, Serving

LEASE_SECONDS = 2
AGAIN_SECONDS = 0.2


class Server:
    """A process that serves the API and carries runs."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._serving = Serving(folder, "--api-only", **environment)
        self.url = self._serving.url
        self.bootstrap = self._serving.bootstrap

    def start(self) -> None:
        """Start it, as often as it takes: without a database it does not."""
        while True:
            try:
                self._serving.start()
                return
            except AssertionError:
                if self._serving.is_up:
                    raise
                time.sleep(AGAIN_SECONDS)

    def stop(self) -> None:
        self._serving.stop()

    def kill(self) -> None:
        """End the parent and its worker at once, as a lost machine would."""
        assert self._serving.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._serving.process.pid, signal.SIGKILL)
        self._serving.process.wait(5)


class Engine:
    """A process that only carries runs."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._log = folder.with_suffix(".log")
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("IC_")},
            **environment,
            "IC_DATA_DIR": str(folder),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, as often as it takes."""
        while not self._is_working():
            with self._log.open("wb") as log:
                command = [sys.executable, "-m", "ingram_app", "engine"]
                self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
            while self._process.poll() is None and not self._is_working():
                time.sleep(AGAIN_SECONDS)

    def _is_working(self) -> bool:
        up = self._process is not None and self._process.poll() is None
        return up and "is working" in self._log.read_text(errors="replace")

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(15)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(5)


class Plant:
    """All of it. Whatever is down is somebody's doing: `busy` holds what is being handled at the moment."""

    def __init__(self, folder: Path, servers: int, engines: int) -> None:
        self.cluster = Cluster(folder / "pg", fsync="off", full_page_writes="off")
        self._environment = {
            "IC_DATABASE_URL": self.cluster.url,
            "IC_MASTER_KEY": secrets.token_hex(32),
            "IC_RUN_LEASE_SECONDS": str(LEASE_SECONDS),
        }
        self.servers = [Server(folder / f"server{number}", self._environment) for number in range(servers)]
        self.engines = [Engine(folder / f"engine{number}", self._environment) for number in range(engines)]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.cluster.start()
        try:
            await self.all("start")
            yield
        finally:
            await self.all("kill")
            await asyncio.to_thread(self.cluster.stop)

    async def all(self, deed: str) -> None:
        await asyncio.gather(*(asyncio.to_thread(getattr(one, deed)) for one in [*self.servers, *self.engines]))

    def halt_postgres(self, how: signal.Signals) -> None:
        """End PostgreSQL, in order (SIGINT) or as a lost machine would (SIGQUIT), and return once it has."""
        postgres = psutil.Process(int((self.cluster.folder / "postmaster.pid").read_text().split()[0]))
        postgres.send_signal(how)
        postgres.wait(15)

    def start_postgres(self) -> None:
        self.cluster.start()
