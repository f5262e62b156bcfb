"""Stress, by hand: python -m tests.stress --seconds 60 --seed 7."""

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from tests.stress.run import stress


def main() -> int:
    options = argparse.ArgumentParser(description="Kill processes while customers work, and count.")
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--outage", type=float, default=0, help="seconds that PostgreSQL is away once, such as 60")
    options.add_argument("--servers", type=int, default=2)
    options.add_argument("--engines", type=int, default=1)
    options.add_argument("--customers", type=int, default=8)
    chosen = vars(options.parse_args())
    folder = Path(tempfile.mkdtemp(prefix="ic-", dir="/tmp"))
    outcome = asyncio.run(stress(folder, **chosen))
    for what, number in outcome.figures.items():
        print(f"{number:8}  {what}")
    print(*(f"WRONG: {line}" for line in outcome.wrong), sep="\n")
    if outcome.wrong:
        print(f"{outcome.complaints}\nThe logs are in {folder}.")
        return 1
    shutil.rmtree(folder)
    print(f"All is as it must be, with seed {chosen['seed']}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
