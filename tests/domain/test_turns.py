"""Turns: words to answer, and not too many."""

import pytest

from ingram_app.domain import turns
from ingram_app.domain.turns import EmptyInput, PayloadTooLarge, Turn


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
