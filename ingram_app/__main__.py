"""The command line: python -m ingram_app <command>."""

import importlib
import sys
from argparse import ArgumentParser

from ingram_app.core.errors import IngramError

COMMANDS = {
    "serve": "set up the database, build the console when it has changed, and serve both",
    "dev": "the same with hot reload",
    "engine": "carry runs of the queue, without serving",
    "stop": "stop what serves from this data folder",
    "migrate": "bring the database up to date",
    "bootstrap": "make or adopt an organization, a project and an owner, and print their keys",
    "doctor": "say what is wrong with this installation",
}
"""Each is a module of `ingram_app.commands` with `run(arguments)` and, when it takes any, `take(parser)`."""


def main(words: list[str]) -> int:
    """Run one command and return the process's exit code."""
    try:
        return _run(words)
    except IngramError as wrong:
        print(wrong.sentence, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _run(words: list[str]) -> int:
    parser = ArgumentParser("python -m ingram_app", description="Ingram Cloud, from the command line.")
    parsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, purpose in COMMANDS.items():
        parsers.add_parser(name, help=purpose, description=f"{purpose.capitalize()}.")
    chosen = next((word for word in words if word in COMMANDS), None)
    if chosen is None:
        parser.parse_args(words)  # prints its help or its refusal, and leaves
        return 2
    # only the one that runs is loaded, so that asking for help takes no time
    command = importlib.import_module(f"ingram_app.commands.{chosen}")
    if hasattr(command, "take"):
        command.take(parsers.choices[chosen])
    return command.run(parser.parse_args(words)) or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
