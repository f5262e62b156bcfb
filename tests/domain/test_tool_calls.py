"""Tool calls: kept letter by letter."""

from typing import Any

import pytest

from ingram_app.domain.tool_calls import (
    RESULT_BYTES,
    ToolResultTooLarge,
    ToolResultUnkeepable,
    bounded,
    check,
    digest_of,
)


def test_a_digest_is_of_the_arguments_whatever_their_order() -> None:
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})


@pytest.mark.parametrize("others", [{"a": 2}, {"a": "1"}, {"a": 1.0}, {"a": True}, {"a": [1]}, {"A": 1}, {}])
def test_other_arguments_have_another_digest(others: dict[str, Any]) -> None:
    assert digest_of(others) != digest_of({"a": 1})


def test_a_result_is_kept_as_it_is_up_to_its_bound() -> None:
    assert bounded({"page": "x" * 1000}) == {"page": "x" * 1000}
    cut = bounded("é" * RESULT_BYTES)
    assert cut.startswith("é" * (RESULT_BYTES // 2))
    assert cut.endswith(f"[cut: the first {RESULT_BYTES} of {2 * RESULT_BYTES} bytes]")


def test_letters_that_can_not_be_kept_are_replaced() -> None:
    assert bounded({"x": "\0\ud800"}) == {"x": "\ufffd\ufffd"}


def test_what_a_caller_sends_is_refused_past_the_bound_rather_than_cut() -> None:
    check("x" * (RESULT_BYTES - 2))
    with pytest.raises(ToolResultTooLarge):
        check("x" * RESULT_BYTES)
    with pytest.raises(ToolResultUnkeepable):
        check({"x": ["\0"]})
