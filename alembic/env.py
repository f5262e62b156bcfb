"""Brings the database to the shape the domain declares."""

import importlib
import pkgutil

import sqlalchemy as sa
from alembic import context
from sqlmodel import SQLModel
from sqlmodel.sql.sqltypes import AutoString

from ingram_app import domain
from ingram_app.core.settings import settings

for noun in pkgutil.iter_modules(domain.__path__):
    importlib.import_module(f"{domain.__name__}.{noun.name}")


def ours(name: str | None, kind: str, _: object) -> bool:
    """Tell our tables from those of the work queue, which looks after its own."""
    return kind != "table" or not str(name).startswith("procrastinate_")


def in_plain_sql(kind: str, item: object, _: object) -> str | bool:
    """Spell our own column types, and SQLModel's, as SQLAlchemy's: a migration outlives the code it was made from."""
    if kind != "type":
        return False
    if isinstance(item, sa.Enum | AutoString):
        return f"sa.String(length={item.length})" if item.length else "sa.String()"
    return f"sa.{item.impl!r}" if isinstance(item, sa.TypeDecorator) else False


given = context.config.attributes.get("url") or settings().database_url
url = sa.make_url(str(given)).set(drivername="postgresql+psycopg")
with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        include_name=ours,
        render_item=in_plain_sql,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()
