"""The grammar of the test models: `[[word …]]` in the last user message. docs/test-models.md tells it with examples.

[[call NAME {json} and NAME {json} …]]   one step: these tool calls at once
[[remember WORDS]]  [[remember {json}]]
[[think WORDS]]  [[pause 200ms]]  [[words 100]]  [[after 3 words]]  [[fail KIND]]
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

_DIRECTIVE = re.compile(r"\[\[(call|remember|think|pause|words|after|fail)\b\s*")
_TOOL_NAME = re.compile(r"[\w.:-]+")
_AND = re.compile(r"\s*and\s+(?=[\w.:-])")
_END = re.compile(r"\s*\]\]")


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call; its arguments are JSON, or whatever was written where JSON should be."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Directives:
    """What a message asks for. `text` is the message without its directives."""

    text: str
    steps: tuple[tuple[Call, ...], ...] = ()
    thoughts: str = ""
    pause_seconds: float | None = None
    words: int | None = None
    after_words: int | None = None
    failure: str | None = None
    facts: tuple[str, ...] = ()
    """What is to be remembered of the turn, each as a JSON object."""


def read(message: str) -> Directives:
    """Return what the message asks for; brackets that are no directive stay text."""
    found: list[tuple[str, str]] = []
    steps: list[tuple[Call, ...]] = []
    facts: list[str] = []
    text, place = "", 0
    while (opening := _DIRECTIVE.search(message, place)) is not None:
        text += message[place : opening.start()]
        if opening[1] == "call":
            calls, place = _calls(message, opening.end())
            steps.append(calls)
        elif opening[1] == "remember":
            fact, place = _fact(message, opening.end())
            facts.append(fact)
        else:
            rest, _, _ = message[opening.end() :].partition("]]")
            found.append((opening[1], rest.strip()))
            place = opening.end() + len(rest) + 2
    told = dict(found)
    return Directives(
        text=" ".join((text + message[place:]).split()),
        steps=tuple(steps),
        thoughts=told.get("think", ""),
        pause_seconds=_seconds(told.get("pause")),
        words=_number(told.get("words")),
        after_words=_number(told.get("after")),
        failure=told.get("fail"),
        facts=tuple(facts),
    )


def _calls(message: str, place: int) -> tuple[tuple[Call, ...], int]:
    calls = []
    for call, end in _each_call(message, place):
        calls.append(call)
        place = end
    closing = _END.match(message, place)
    return tuple(calls), closing.end() if closing else len(message)


def _fact(message: str, place: int) -> tuple[str, int]:
    """Return a fact as JSON, and where its directive ends; words are the fact's content."""
    told, place = _arguments(message, place)
    closing = _END.match(message, place)
    try:
        is_whole = isinstance(json.loads(told), dict)
    except ValueError:
        is_whole = False
    fact = told if is_whole else json.dumps({"content": told}, ensure_ascii=False)
    return fact, closing.end() if closing else len(message)


def _each_call(message: str, place: int) -> Iterator[tuple[Call, int]]:
    while (name := _TOOL_NAME.match(message, place)) is not None:
        arguments, place = _arguments(message, name.end())
        yield Call(name[0], arguments), place
        following = _AND.match(message, place)
        if following is None:
            return
        place = following.end()


def _arguments(message: str, place: int) -> tuple[str, int]:
    """Return the arguments and where they end: JSON read as JSON, since it may hold `]]` itself."""
    place += len(message[place:]) - len(message[place:].lstrip())
    if _END.match(message, place) or _AND.match(message, place):
        return "{}", place
    try:
        value, end = json.JSONDecoder().raw_decode(message, place)
    except ValueError:
        broken, _, _ = message[place:].partition("]]")
        return broken.strip(), place + len(broken)
    return json.dumps(value, ensure_ascii=False), end


def _number(text: str | None) -> int | None:
    digits = re.match(r"\d+", text or "")
    return int(digits[0]) if digits else None


def _seconds(text: str | None) -> float | None:
    amount = re.match(r"(\d+(?:\.\d+)?)\s*(ms|s)?", text or "")
    if amount is None:
        return None
    return float(amount[1]) if amount[2] == "s" else float(amount[1]) / 1000
