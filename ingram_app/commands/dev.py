"""dev: serve with hot reload, the console by Vite on port 3000, the API and the events on IC_PORT."""

import os
import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

from ingram_app.commands.building import ROOT
from ingram_app.commands.installation import open_database
from ingram_app.commands.occupancy import occupying
from ingram_app.core.settings import settings


def run(arguments: Namespace) -> int:
    """Run Reflex's own development server on a database that is up. People come in where its pages are."""
    os.environ.setdefault("IC_PUBLIC_URL", "http://localhost:3000")
    settings.cache_clear()
    knobs = settings()
    reflex = [str(Path(sys.executable).with_name("reflex")), "run", "--backend-port", str(knobs.port)]
    with occupying(knobs.data_dir, knobs.host, knobs.port), open_database():
        server = subprocess.Popen(reflex, cwd=ROOT, start_new_session=True)
        # it ends in order on Ctrl-C alone, and PostgreSQL leaves after it
        for told in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(told, lambda *_: server.send_signal(signal.SIGINT))
        return server.wait()
