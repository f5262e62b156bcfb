"""The console: people come in here. One page, one file: its state above, its looks below."""

from ingram_app.console import home, sign_in, start

__all__ = ["home", "sign_in", "start"]
