"""What every command begins with: a database that is up and up to date."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ingram_app.core import cluster, migrations
from ingram_app.core.settings import settings


@contextmanager
def open_database() -> Iterator[str]:
    """Give the URL of the migrated database, and name it to this process and its children in `IC_DATABASE_URL`."""
    with cluster.database() as url:
        migrations.migrate(url)
        os.environ["IC_DATABASE_URL"] = url
        settings.cache_clear()
        yield url
