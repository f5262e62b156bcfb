"""What every command begins with: a database that is up and up to date."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ingram_app.core import cluster, migrations
from ingram_app.core.settings import settings


@contextmanager
def open_database() -> Iterator[str]:
    """Give the owner's URL of the migrated database, and name the application's to this process and its children.

    That is `IC_DATABASE_URL`. With a database of one's own both are the same.
    """
    with cluster.database() as url:
        migrations.migrate(url)
        os.environ["IC_DATABASE_URL"] = migrations.admit(url) if settings().database_url is None else url
        settings.cache_clear()
        yield url
