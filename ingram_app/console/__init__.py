"""The console: people come in here. One page, one file: its state above, its looks below."""

from ingram_app.console import (
    account,
    agent,
    agents,
    api_keys,
    approvals,
    home,
    models,
    nowhere,
    project,
    run,
    runs,
    sign_in,
    smith,
    smiths,
    start,
    welcome,
)

__all__ = [
    "account",
    "agent",
    "agents",
    "api_keys",
    "approvals",
    "home",
    "models",
    "nowhere",
    "project",
    "run",
    "runs",
    "sign_in",
    "smith",
    "smiths",
    "start",
    "welcome",
]
