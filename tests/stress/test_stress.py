"""Whatever is killed, stopped and started: every run that was accepted ends once, and its stream is whole."""

import tempfile
from pathlib import Path

from tests.stress.run import stress


async def test_no_run_is_lost_or_doubled_while_processes_and_the_database_come_and_go() -> None:
    with tempfile.TemporaryDirectory(prefix="ic-", dir="/tmp") as folder:
        outcome = await stress(Path(folder), seconds=12, seed=7, customers=6)
    assert outcome.wrong == [], outcome.complaints
    assert outcome.figures["completed"] > 5
    assert sum(outcome.figures.get(what, 0) for what in ("server killed", "engine killed", "PostgreSQL stopped")) > 0
