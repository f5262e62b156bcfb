"""The console: people come in here. One page, one file: its state above, its looks below."""
