"""The log: one line an event, whatever is in it."""

import pytest

from ingram_app.core.log import on_one_line, without_secrets


@pytest.mark.parametrize("letter", ["\n", "\r", "\x1b", "\x85", "\u2028", "\x00", "\x9b"])
def test_what_a_visitor_says_forges_no_line_and_commands_no_terminal(letter: str) -> None:
    told = on_one_line(None, "info", {"event": f"boom{letter}[info] forged", "user": f"a{letter}b"})
    assert letter not in told["event"] + told["user"]
    assert told["event"].startswith("boom\\")


def test_a_traceback_keeps_its_lines_and_nothing_else() -> None:
    told = on_one_line(None, "error", {"exception": "Traceback:\n  a line\x1b[31m", "number": 1})
    assert told == {"exception": "Traceback:\n  a line\\x1b[31m", "number": 1}


def test_nobody_fills_the_log_with_one_line() -> None:
    assert len(on_one_line(None, "error", {"event": "x" * 1_000_000})["event"]) < 10_000


def test_tokens_and_keys_are_blotted_out() -> None:
    told = without_secrets(None, "info", {"event": "tha_live_abc.def-g sk-1234567890 whsec_ab/cd+efghij="})
    assert told["event"] == "tha_live_… sk-… whsec_…"
