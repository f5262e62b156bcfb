"""Retelling: whatever was said and however the new answer is cut, watchers end up with the new answer."""

from itertools import pairwise

from hypothesis import given, strategies as st

from ingram_app.domain.frames import AnyFrame, MessageDelta, MessageRestarted
from ingram_app.engine.retelling import Retelling

texts = st.text(alphabet="ab ", max_size=12)


def cut(answer: str, places: list[int]) -> list[str]:
    """Return the answer in pieces, cut at these places."""
    edges = sorted({0, len(answer), *(place % (len(answer) + 1) for place in places)})
    return [answer[begin:end] for begin, end in pairwise(edges)]


def retold(said: str, pieces: list[str]) -> tuple[list[AnyFrame], Retelling]:
    retelling = Retelling(said)
    return [frame for piece in pieces for frame in retelling.hear(piece)] + retelling.end(), retelling


def heard(said: str, frames: list[AnyFrame]) -> str:
    """Return what a watcher has who heard `said` before, and honours `message.restarted`."""
    for frame in frames:
        if isinstance(frame, MessageRestarted):
            said = ""
        elif isinstance(frame, MessageDelta):
            said += frame.delta
    return said


@given(said=texts, answer=texts, places=st.lists(st.integers(0, 12)))
def test_a_watcher_ends_with_the_new_answer(said: str, answer: str, places: list[int]) -> None:
    frames, _ = retold(said, cut(answer, places))
    assert heard(said, frames) == answer


@given(said=texts, rest=texts, places=st.lists(st.integers(0, 24)))
def test_an_answer_that_begins_the_same_goes_on_and_repeats_no_word(said: str, rest: str, places: list[int]) -> None:
    frames, retelling = retold(said, cut(said + rest, places))
    assert not retelling.differs
    assert "".join(frame.delta for frame in frames if isinstance(frame, MessageDelta)) == rest


@given(said=texts, answer=texts, places=st.lists(st.integers(0, 12)))
def test_watchers_are_told_once_and_only_of_words_that_differ(said: str, answer: str, places: list[int]) -> None:
    frames, retelling = retold(said, cut(answer, places))
    assert retelling.differs == (not answer.startswith(said))
    assert sum(isinstance(frame, MessageRestarted) for frame in frames) == retelling.differs


@given(said=texts, first=texts, second=texts, places=st.lists(st.integers(0, 12)))
def test_a_second_interruption_changes_nothing(said: str, first: str, second: str, places: list[int]) -> None:
    interrupted = Retelling(said)
    half = [frame for piece in cut(first, places) for frame in interrupted.hear(piece)]
    so_far = heard(said, half)
    assert interrupted.heard == so_far
    frames, _ = retold(so_far, cut(second, places))
    assert heard(so_far, frames) == second
