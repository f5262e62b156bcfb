"""The console: people come in here. One page, one file: its state above, its looks below."""

from ingram_app.console import api_keys, home, models, project, sign_in, start, welcome

__all__ = ["api_keys", "home", "models", "project", "sign_in", "start", "welcome"]
