"""The shelf: turns of the past are read once while they are asked for, and what is kept of them is bounded."""

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_core import to_json

from ingram_app.engine import prompt, shelf
from ingram_app.engine.shelf import Shelf


def messages(said: str) -> list[ModelMessage]:
    return [ModelRequest(parts=[UserPromptPart(said)]), ModelResponse(parts=[TextPart("So it is.")])]


def turn(said: str) -> str:
    """Return a turn as it is kept."""
    return to_json(prompt.write(messages(said))).decode()


def is_at_hand(on: Shelf, text: str) -> bool:
    return on.read(text) is on.read(text)


def test_a_turn_is_read_once_and_by_its_own_words() -> None:
    ours, theirs, text = Shelf(), Shelf(), turn("hello")
    assert list(ours.read(text)) == prompt.read(text)
    assert is_at_hand(ours, text)
    assert ours.read(text) is not theirs.read(text)
    assert [part.content for part in ours.read(turn("hello!"))[0].parts] == ["hello!"]
    assert ours.read("[]") == ()


def test_what_was_asked_for_last_stays_as_far_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "MOST_BYTES", 15_000)
    kept, first, second = Shelf(), turn("first"), turn("second")
    at_first, of_second = kept.read(first), kept.read(second)
    for number in range(3):
        kept.read(turn(str(number)))
        assert kept.read(first) is at_first
    assert kept.read(second) is not of_second
    assert not is_at_hand(kept, turn("x" * 15_000))
    assert is_at_hand(kept, turn("x" * 3_000))
    assert not is_at_hand(kept, turn("\N{GRINNING FACE}" * 3_000))  # four times as long


def test_nothing_stays_that_nobody_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, text = Shelf(), turn("hello")
    first = kept.read(text)
    kept.tidy()
    assert kept.read(text) is first
    monkeypatch.setattr(shelf, "SECONDS", -1)
    kept.tidy()
    assert kept.read(text) is not first
