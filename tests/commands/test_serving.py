"""From a start to an answer, and to nothing left."""

import asyncio
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets

from tests.serving import Serving, gone, until


@pytest.fixture(scope="module")
def installation(folder: Path) -> Iterator[Serving]:
    """One data folder for all; nothing serves from it yet."""
    server = Serving(folder / "serving")
    yield server
    if server.is_up:
        server.stop()


@pytest.fixture
def serving(installation: Serving) -> Serving:
    """The installation, up: started anew only when the test before has ended it."""
    return installation if installation.is_up else installation.start()


async def test_a_stop_ends_open_streams_and_postgresql_within_twelve_seconds(serving: Serving) -> None:
    assert f"Ingram Cloud is ready at {serving.url}" in serving.said
    assert serving.healthy
    processes = [*serving.children, serving.postgres]
    stream = f"ws://localhost:{serving.port}/_event/?EIO=4&transport=websocket"
    async with websockets.connect(stream, origin=websockets.Origin(serving.url)) as tab:
        assert str(await tab.recv()).startswith("0")
        await asyncio.to_thread(serving.stop)
    until(lambda: all(gone(process) for process in processes), 1)
    assert not (serving.data / "postgres" / "postmaster.pid").exists()


def test_a_second_start_takes_less_than_six_seconds(serving: Serving) -> None:
    serving.stop(signal.SIGINT)
    began = time.monotonic()
    serving.start()
    assert time.monotonic() - began < 6


def test_a_killed_server_leaves_no_worker_and_the_next_start_heals(serving: Serving) -> None:
    workers, postgres = serving.children, serving.postgres
    serving.stop(signal.SIGKILL)
    until(lambda: all(gone(worker) for worker in workers))
    postgres.kill()
    serving.start()
    assert serving.healthy


def test_a_killed_worker_is_replaced(serving: Serving) -> None:
    serving.worker.kill()
    until(lambda: not serving.healthy)
    until(lambda: serving.healthy, 20)


def test_a_second_server_says_who_is_there(serving: Serving, folder: Path) -> None:
    assert serving.process is not None
    assert f"Process {serving.process.pid} serves from" in serving.refused()
    neighbour = Serving(folder / "neighbour", IC_PORT=str(serving.port))
    assert "Something listens at" in neighbour.refused()


def test_a_taken_port_is_named_before_anything_starts(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = Serving(folder / "taken", IC_PORT=str(port)).refused()
    assert said == f"Something listens at 127.0.0.1:{port} already. Stop it, or set IC_PORT to another port.\n"


def test_a_wrong_setting_stops_the_start_with_a_sentence_that_names_it(folder: Path) -> None:
    said = Serving(folder / "wrong", IC_PORT="many").refused()
    assert said.startswith("IC_PORT is wrong: ")
    assert said.count("\n") == 1


def test_a_database_that_does_not_answer_stops_the_start_with_a_sentence(folder: Path) -> None:
    said = Serving(folder / "unreachable", IC_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none").refused()
    assert said.startswith("The database does not answer: ")
    assert said.endswith("Check IC_DATABASE_URL.\n")
