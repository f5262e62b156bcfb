"""Builds the console's pages, when something that they are made from has changed."""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from ingram_app.core.errors import IngramError
from ingram_app.core.locks import locked

ROOT = Path(__file__).parents[2]
STATIC = ROOT / ".web" / "build" / "client"
_STAMP = ROOT / ".web" / "build" / "made-from"
_INPUTS = ("rxconfig.py", "requirements.txt", "ingram_app/ingram_app.py", "ingram_app/console", "reflex.lock", "assets")
_MADE = {".pyc"}
ENVIRONMENT = {"REFLEX_ENV_MODE": "prod"}


class ConsoleDoesNotBuild(IngramError):
    """The console could not be built; {log} has the whole story. It ends:
    {end}"""


def build() -> None:
    """Build unless that is done already; a second process waits for the first. Raises `ConsoleDoesNotBuild`."""
    with locked(ROOT / ".reflex" / "build.lock"):
        if _STAMP.exists() and _STAMP.read_text() == _fingerprint():
            return
        print("Building the console: half a minute, more the first time …", flush=True)
        began = time.monotonic()
        _export()
        _spell_evenly(ROOT / "reflex.lock" / "package.json")
        # Reflex completes its lock files while it builds: what counts is how they are now
        _STAMP.write_text(_fingerprint())
        print(f"Built in {time.monotonic() - began:.0f} s.", flush=True)


def _export() -> None:
    log = ROOT / ".reflex" / "build.log"
    with log.open("w") as story:
        done = subprocess.run(
            [Path(sys.executable).with_name("reflex"), "export", "--frontend-only", "--no-zip"],
            cwd=ROOT,
            env=os.environ | ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=story,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode or not STATIC.is_dir():
        end = "\n".join(log.read_text(errors="replace").strip().splitlines()[-8:])
        raise ConsoleDoesNotBuild(log=log, end=end)


def _spell_evenly(lock: Path) -> None:
    """Write the lock file one way: Reflex's first build and its later ones space the same content differently."""
    lock.write_text(json.dumps(json.loads(lock.read_text()), indent=2) + "\n")


def _fingerprint() -> str:
    """Hash what goes into the pages, by content: git and Reflex touch files without changing them."""
    digest = hashlib.sha256(sys.version.encode())
    for file in sorted(file for name in _INPUTS for file in _files(ROOT / name)):
        digest.update(f"{file.relative_to(ROOT)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    return [file for file in place.rglob("*") if file.is_file() and file.suffix not in _MADE]
