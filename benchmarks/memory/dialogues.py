"""The people of `dialogues.toml`: what each said, what is to be held of it, and questions about it."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent
KINDS = ("single", "update", "contradiction", "time", "absence")


@dataclass(frozen=True, slots=True)
class Turn:
    day: str
    """Like 2026-03-01."""
    words: str


@dataclass(frozen=True, slots=True)
class Held:
    """What is to be held; `replaces` names the fact that it makes history."""

    name: str
    words: str
    replaces: str


@dataclass(frozen=True, slots=True)
class Question:
    kind: str
    words: str
    fact: str
    """The one that answers, empty when none does."""
    answer: str
    """A word of the answer; of an absence, one that would have to be invented."""
    stale: str
    """A word that only what is no longer so has."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    who: str
    language: str
    turns: list[Turn]
    facts: list[Held]
    questions: list[Question]


def dialogues() -> list[Dialogue]:
    """Return all of them."""
    read = tomllib.loads((_FOLDER / "dialogues.toml").read_text())["dialogue"]
    return [
        Dialogue(
            one["who"],
            one["language"],
            [Turn(*turn.split(" ", 1)) for turn in one["turns"]],
            [_held(fact) for fact in one["facts"]],
            [_question(question) for question in one["questions"]],
        )
        for one in read
    ]


def chaff() -> list[str]:
    """Return facts that answer none of the questions, for every smith to hold beside its own."""
    return (_FOLDER / "chaff.txt").read_text().splitlines()


def _held(written: str) -> Held:
    named, words = written.split(": ", 1)
    name, _, replaces = named.partition(" < ")
    return Held(name, words, replaces)


def _question(written: str) -> Question:
    kind, words, fact, answer, *stale = (part.strip() for part in written.split("|"))
    return Question(kind, words, fact, answer, stale[0] if stale else "")
