"""Turns: words to answer, and not too many."""

from typing import Any

import pytest

from ingram_app.domain import turns
from ingram_app.domain.turns import EmptyInput, PayloadTooLarge, Turn, UnsupportedResponseFormat


def said(*contents: object) -> Turn:
    return Turn([{"role": "user", "content": content} for content in contents])


def test_what_is_said_is_all_the_words_of_all_messages() -> None:
    assert said("one", [{"type": "text", "text": "two"}, {"type": "text", "text": "three"}]).said == "one\ntwo\nthree"


@pytest.mark.parametrize("turn", [said(), said(""), said(" \n\t"), said([]), said("", [{"type": "text", "text": " "}])])
def test_silence_is_refused(turn: Turn) -> None:
    with pytest.raises(EmptyInput):
        turns.check(turn, 1000)


def test_size_is_counted_in_bytes_as_they_are_kept() -> None:
    turn = said("ü" * 100)
    turns.check(turn, 300)
    with pytest.raises(PayloadTooLarge):
        turns.check(turn, 200)


@pytest.mark.parametrize("format", [{"type": "json_object"}, {"type": "json_schema", "json_schema": {}}, {}])
def test_a_reply_in_another_form_than_text_is_refused_and_not_forgotten(format: dict[str, Any]) -> None:
    hello = said("hello").input
    turns.check(Turn(hello, response_format={"type": "text"}), 1000)
    with pytest.raises(UnsupportedResponseFormat):
        turns.check(Turn(hello, response_format=format), 1000)
