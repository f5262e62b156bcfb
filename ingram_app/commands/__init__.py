"""The command line: one file each subcommand of python -m ingram_app."""
