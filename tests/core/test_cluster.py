"""The PostgreSQL that comes with the house."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from ingram_app.core.cluster import Cluster, DatabaseDoesNotStart
from tests.serving import gone, until


@pytest.fixture
def own(folder: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster that a test may break."""
    cluster = Cluster(folder / request.node.name[-30:] / "postgres", fsync="off")
    yield cluster
    cluster.stop()


def postmaster(cluster: Cluster) -> psutil.Process:
    return psutil.Process(int((cluster.folder / "postmaster.pid").read_text().split()[0]))


def ask(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row and row[0]


def test_its_database_is_utf8_sorted_by_code_point_and_durable(cluster: Cluster) -> None:
    assert ask(cluster.url, "show server_encoding") == "UTF8"
    assert ask(cluster.url, "select datlocale from pg_database where datname = current_database()") == "C.UTF-8"
    assert ask(cluster.url, "show synchronous_commit") == "on"


def test_the_last_to_leave_stops_it(own: Cluster) -> None:
    own.start()
    server = postmaster(own)
    with Cluster(own.folder).running() as url:
        own.stop()
        assert ask(url, "select 1") == 1
    assert gone(server)


def test_a_user_that_was_killed_does_not_count(own: Cluster) -> None:
    own.start()
    program = (
        f"from pathlib import Path; from ingram_app.core.cluster import Cluster; c = Cluster(Path({str(own.folder)!r}))"
    )
    other = subprocess.Popen([sys.executable, "-c", f"{program}; c.start(); print(); input()"], stdin=-1, stdout=-1)
    assert other.stdout is not None
    other.stdout.readline()
    other.kill()
    other.communicate()
    server = postmaster(own)
    own.stop()
    assert gone(server)


def test_it_heals_after_it_was_killed(own: Cluster) -> None:
    with psycopg.connect(own.start(), autocommit=True) as connection:
        connection.execute("create table kept as select 7 as number")
    killed = postmaster(own)
    killed.kill()
    until(lambda: gone(killed))
    assert ask(own.start(), "select number from kept") == 7


def test_a_lock_file_of_a_number_that_came_round_again_does_not_stop_a_start(own: Cluster) -> None:
    own.start()
    own.stop()
    innocent = psutil.Process()
    (own.folder / "postmaster.pid").write_text(
        f"{innocent.pid}\n{own.folder}\n1\n5432\n{own.folder}\n\n0 0\nready   \n"
    )
    assert ask(own.start(), "select 1") == 1
    assert innocent.is_running()


def test_a_start_that_was_cut_off_begins_anew(own: Cluster) -> None:
    half = own.folder.with_name("postgres.new")
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    assert ask(own.start(), "select 1") == 1


def test_a_path_too_long_for_a_socket_gets_a_short_one(folder: Path) -> None:
    deep = Cluster(folder / "with space" / ("long" * 25) / "postgres", fsync="off")
    with deep.running() as url:
        assert ask(url, "select 1") == 1


def test_another_version_of_postgresql_is_named(own: Cluster) -> None:
    own.folder.mkdir(parents=True)
    (own.folder / "PG_VERSION").write_text("16\n")
    with pytest.raises(DatabaseDoesNotStart, match="made by PostgreSQL 16, this is 18"):
        own.start()
