"""A real `python -m ingram_app serve`, as a test starts and ends it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).parents[1]


class Serving:
    """One serving process, with a data folder and a port of its own."""

    def __init__(self, data: Path, *arguments: str, **environment: str) -> None:
        self.data = data
        self.arguments = arguments
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        mine = {"IC_DATA_DIR": str(data), "IC_PORT": str(self.port), "PYTHONUNBUFFERED": "1"}
        mine |= {"IC_STRIPE_URL": "http://127.0.0.1:1"} | environment
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("IC_")} | mine
        self.log = data.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Serving":
        """Start it, and return once it has said that it is ready."""
        with self.log.open("wb") as log:
            self.process = self._popen(stdout=log, stderr=log)
        until(lambda: "is ready at" in self.said or not self.is_up, 240)
        assert self.is_up, self.said
        return self

    def refused(self) -> str:
        """Start one that will not, and return what it says."""
        process = self._popen(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 2, said
        return said.decode()

    def stop(self, how: signal.Signals = signal.SIGTERM, within_seconds: float = 12) -> None:
        """Have it stop, and return once it has."""
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(within_seconds)

    def kill(self) -> None:
        """End it and its workers at once, as a lost machine would."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(5)

    def bootstrap(
        self, organization: str = "Acme", project: str = "Production", email: str = "ann@example.com"
    ) -> dict[str, str]:
        """Make or adopt an organization and a project; return their ids and keys."""
        named = ["--organization", organization, "--project", project, "--email", email, "--json"]
        command = [sys.executable, "-m", "ingram_app", "bootstrap", *named]
        made = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, check=True)
        return dict(json.loads(made.stdout))

    @property
    def said(self) -> str:
        return self.log.read_text()

    @property
    def worker(self) -> psutil.Process:
        return next(child for child in self.children if "spawn_main" in " ".join(child.cmdline()))

    @property
    def children(self) -> list[psutil.Process]:
        assert self.process is not None
        return psutil.Process(self.process.pid).children(recursive=True)

    @property
    def postgres(self) -> psutil.Process:
        return psutil.Process(int((self.data / "postgres" / "postmaster.pid").read_text().split()[0]))

    @property
    def healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    @property
    def is_up(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def _popen(self, **streams: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "ingram_app", "serve", *self.arguments]
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, start_new_session=True, **streams)  # type: ignore[call-overload,no-any-return]


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for a condition, no longer than it takes."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def gone(process: psutil.Process) -> bool:
    """Tell whether the process has ended, waited for or not."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
