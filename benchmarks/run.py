"""What a run costs beyond its model: `make bench`, or with SHORT=1 in a few seconds.

A fake model server, a serving process with a PostgreSQL of its own, and this load generator share the machine. Each
figure stands beside the same request sent straight to the fake model.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvloop

from benchmarks import crowd, spending
from benchmarks.memory import scale
from benchmarks.wire import Target, Timed, times
from tests.serving import ROOT, Serving


@dataclass(frozen=True)
class World:
    """What is measured: a server with one smith, and the model behind it."""

    serving: Serving
    model_url: str
    token: str
    project_id: str
    smith_id: str

    def run(self, said: str, **how: Any) -> Target:
        path = f"/v1/smiths/{self.smith_id}/runs"
        body = {"input": [{"content": said}], **how}
        return Target(self.serving.url, path, body, token=self.token, word=b"event: message.delta")

    def direct(self, said: str) -> Target:
        body = {"model": "fake", "stream": True, "messages": [{"role": "user", "content": said}]}
        return Target(self.model_url, "/v1/chat/completions", body, word=b'"content"')

    def cpu_seconds(self) -> tuple[float, float]:
        """Return what Python and PostgreSQL have used up so far."""
        return _used(self.serving.worker), _used_with_children(self.serving.postgres)


@dataclass(frozen=True)
class Row:
    what: str
    figure: str
    direct: str = ""


async def measure(world: World, *, short: bool) -> list[Row]:
    """Return the table, row by row."""
    # a connection prepares a statement at its fifth use, and there are two dozen connections
    await times(world.run("tokens=20"), 200 if short else 800, at_once=16)
    return [
        *await _one_at_a_time(world, 30 if short else 200),
        *await _many(world, 8, 80 if short else 800),
        *await _many(world, 32, 96 if short else 960),
        *await _first_token(world, 1, 10 if short else 60),
        *await _first_token(world, 16, 32 if short else 160),
        *await _per_token(world, 8 if short else 32),
        *await _long_thread(world, 25 if short else 105),
        Row("resident memory of the serving process", f"{world.serving.worker.memory_info().rss / 2**20:.0f} MB"),
    ]


async def _one_at_a_time(world: World, runs: int) -> list[Row]:
    direct = _ms(await times(world.direct("tokens=20"), runs))
    ours = _ms(await times(world.run("tokens=20"), runs))
    added = [f"{ours[place] - direct[place]:.1f} ms" for place in (50, 95)]
    return [
        Row("added latency, one at a time, p50", added[0], f"{direct[50]:.1f} ms"),
        Row("added latency, one at a time, p95", added[1], f"{direct[95]:.1f} ms"),
    ]


async def _many(world: World, at_once: int, runs: int) -> list[Row]:
    began = time.perf_counter()
    await times(world.direct("tokens=20"), runs, at_once=at_once)
    direct = runs / (time.perf_counter() - began)
    before, began = world.cpu_seconds(), time.perf_counter()
    answers = await times(world.run("tokens=20"), runs, at_once=at_once)
    rate, after = runs / (time.perf_counter() - began), world.cpu_seconds()
    assert all(json.loads(answer.body)["status"] == "completed" for answer in answers)
    python, postgres = ((b - a) * 1000 / runs for a, b in zip(before, after, strict=True))
    return [
        Row(f"runs a second, {at_once} at once", f"{rate:.0f}", f"{direct:.0f}"),
        Row(f"CPU of a run, {at_once} at once: Python + PostgreSQL", f"{python:.1f} + {postgres:.1f} ms"),
    ]


async def _first_token(world: World, at_once: int, runs: int) -> list[Row]:
    said = "tokens=20 first_ms=20 delay_ms=10"
    direct = statistics.median(a.first_seconds for a in await times(world.direct(said), runs, at_once=at_once)) * 1000
    streams = await times(world.run(said, stream=True), runs, at_once=at_once)
    ours = statistics.median(answer.first_seconds for answer in streams) * 1000
    return [
        Row(f"added time to the first token, streams at once: {at_once}", f"{ours - direct:.1f} ms", f"{direct:.1f} ms")
    ]


async def _per_token(world: World, runs: int) -> list[Row]:
    """Compare streams of two lengths: what they differ in is what tokens cost."""
    cost, size = [], []
    for tokens in (20, 420):
        before = sum(world.cpu_seconds())
        streams = await times(world.run(f"tokens={tokens} delay_ms=2", stream=True), runs, at_once=8)
        cost.append((sum(world.cpu_seconds()) - before) / runs)
        size.append(sum(len(stream.body) for stream in streams) / runs)
    return [
        Row("CPU of a streamed token, 8 streams at once", f"{(cost[1] - cost[0]) / 400 * 1e6:.0f} µs"),
        Row("bytes of a streamed token", f"{(size[1] - size[0]) / 400:.0f}"),
    ]


async def _long_thread(world: World, last: int) -> list[Row]:
    """Compare what the turns about the fifth and about the last take, on several threads one after the other."""
    early, late = list[float](), list[float]()
    for _ in range(4):
        turns = await times(world.run("tokens=20", thread_id=f"long-{time.time_ns()}"), last + 2)
        early += [turn.seconds * 1000 for turn in turns[2:7]]
        late += [turn.seconds * 1000 for turn in turns[last - 3 :]]
    told = [f"{statistics.median(turns):.1f} ms" for turns in (late, early)]
    return [Row(f"turn {last} of a thread beside turn 5", *told)]


def _ms(answers: list[Timed]) -> list[float]:
    """Return the percentiles of how long the answers took; the first stands at place 1."""
    return [0, *statistics.quantiles((answer.seconds * 1000 for answer in answers), n=100)]


def _used(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return float(spent.user + spent.system)


def _used_with_children(process: psutil.Process) -> float:
    """Return the processor time of a process, those it has, and those it had."""
    spent = process.cpu_times()
    return _used(process) + spent.children_user + spent.children_system + sum(_used(c) for c in process.children())


@contextmanager
def _model() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.fakes.model_server"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _world() -> Iterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="ic-bench-", dir="/tmp"))
    serving = Serving(folder / "data", IC_ALLOW_PRIVATE_ADDRESSES="true")
    with _model() as model_url:
        serving.start()
        try:
            made = serving.bootstrap()
            token = made["tenant_token"]
            with httpx.Client(base_url=serving.url, headers={"Authorization": f"Bearer {token}"}) as api:
                key = {"api_key": "sk-none", "base_url": f"{model_url}/v1"}
                api.put("/v1/tenant/model_keys/fake", json=key).raise_for_status()
                about = {"model": "fake/fake", "auto_memory": False}  # what is learnt afterwards is another call
                smith = api.post("/v1/smiths", json=about).raise_for_status().json()
            yield World(serving, model_url, token, made["project_id"], smith["id"])
        finally:
            serving.stop()
            shutil.rmtree(folder, ignore_errors=True)


def _show(rows: list[Row], load_before: float) -> None:
    revision = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    loads = " to ".join(f"{load:.1f}" for load in (load_before, os.getloadavg()[0]))
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, load {loads}"
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {revision.stdout.strip() or 'no revision'}, {machine}")
    print("Answers of 20 tokens, unless another length is told.")
    width = max(len(row.what) for row in rows)
    print(f"\n{'':{width}}  {'Ingram Cloud':>14}  {'model alone':>11}")
    for row in rows:
        print(f"{row.what:{width}}  {row.figure:>14}  {row.direct:>11}")


def _show_pairs(figures: list[tuple[str, str, str]]) -> None:
    width = max(len(what) for what, _, _ in figures)
    print()
    for what, few, many in figures:
        print(f"{what:{width}}  {few:>12}  {many:>14}")


_OTHERS = {"crowd": crowd.measure, "memory": scale.measure, "spending": spending.measure}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--short", action="store_true", help="fewer requests, rougher figures")
    options.add_argument("--only", choices=["runs", *_OTHERS], help="one of the tables")
    asked = options.parse_args()
    load_before = os.getloadavg()[0]
    with _world() as world:
        if asked.only in (None, "runs"):
            _show(uvloop.run(measure(world, short=asked.short)), load_before)
        for name, figures in _OTHERS.items():
            if asked.only in (None, name):
                _show_pairs(uvloop.run(figures(world.serving, world.project_id, short=asked.short)))


if __name__ == "__main__":
    main()
