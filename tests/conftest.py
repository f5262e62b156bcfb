"""The world of the tests: one real PostgreSQL, and a fresh database for each file."""

import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings as hypothesis

from ingram_app.core.cluster import Cluster
from ingram_app.core.migrations import migrate
from ingram_app.core.settings import Settings, settings
from tests.world import Tenant, World, building

for name in [name for name in os.environ if name.startswith("IC_")]:
    del os.environ[name]  # a developer's own settings are not part of the world
Settings.model_config["env_file"] = None
hypothesis.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis.load_profile("busy")  # how fast the machine is at this moment is not what is asked


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder with a short path, as a socket wants it, that goes with the session."""
    place = Path(tempfile.mkdtemp(prefix="ic-", dir="/tmp"))
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def data_dir(folder: Path) -> Path:
    """Where this process keeps its master key."""
    os.environ["IC_DATA_DIR"] = str(folder / "data")
    os.environ["IC_STRIPE_URL"] = "http://127.0.0.1:1"  # no test reaches Stripe itself
    settings.cache_clear()
    return folder / "data"


@pytest.fixture(scope="session")
def cluster(folder: Path) -> Iterator[Cluster]:
    """The session's PostgreSQL; a crash may cost it everything, so it need not wait for the disk."""
    postgres = Cluster(folder / "postgres", fsync="off", full_page_writes="off")
    with postgres.running() as url:
        migrate(url)
        yield postgres


@pytest.fixture(scope="module")
def fresh_database(cluster: Cluster) -> Iterator[str]:
    """The URL of a migrated, empty database that is this file's own, and that the settings name."""
    name = f"test_{secrets.token_hex(4)}"
    with psycopg.connect(cluster.url_of("postgres"), autocommit=True) as postgres:
        postgres.execute(f"create database {name} template ingram")
        os.environ["IC_DATABASE_URL"] = url = cluster.url_of(name)
        settings.cache_clear()
        yield url
        del os.environ["IC_DATABASE_URL"]
        settings.cache_clear()
        postgres.execute(f"drop database {name} with (force)")


@pytest.fixture(scope="module")
def private_addresses_allowed(fresh_database: str) -> Iterator[None]:
    """What is served in a test may be called: it listens on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IC_ALLOW_PRIVATE_ADDRESSES", "true")
        settings.cache_clear()
        yield
    settings.cache_clear()


@pytest.fixture(scope="module")
async def world(fresh_database: str) -> AsyncIterator[World]:
    """An organization with two projects, and the API and the engine before it."""
    async with building(fresh_database) as made:
        yield made


@pytest.fixture(scope="module")
async def project(world: World) -> Tenant:
    return world.project


@pytest.fixture(scope="module")
async def other(world: World) -> Tenant:
    """Another project of the same organization."""
    return world.other
