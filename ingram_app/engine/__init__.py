"""The engine: carries runs, started by a hand-over or by time, never by a request."""
