"""How figures are written, and read."""

from datetime import UTC, datetime, timedelta

import pytest

from ingram_app.console.figures import author, counted, duration, money, thread_end, whole

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("micros", "written"),
    [(None, "–"), (0, "$0.00"), (1, "$0.000001"), (4_200, "$0.0042"), (10_000, "$0.01"), (1_234_500_000, "$1,234.50")],
)
def test_a_sum_has_the_digits_it_needs(micros: int | None, written: str) -> None:
    assert money(micros) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.04, "40 ms"), (1.26, "1.3 s"), (59.96, "1 min 0 s"), (125, "2 min 5 s"), (7_260, "2 h 1 min")],
)
def test_a_duration_is_as_exact_as_it_is_short(seconds: float, written: str) -> None:
    assert duration(START, START + timedelta(seconds=seconds)) == written


def test_what_has_not_ended_has_no_duration() -> None:
    assert duration(START, None) == "–"


def test_one_is_not_many() -> None:
    assert [counted(number, "run") for number in (0, 1, 2_000)] == ["0 runs", "1 run", "2,000 runs"]


@pytest.mark.parametrize(
    ("by", "written"),
    [
        (None, "the platform"),
        ({"kind": "platform"}, "the platform"),
        ({"kind": "tenant", "email": None}, "API"),
        ({"kind": "organization"}, "organization"),
        ({"kind": "tenant", "email": "ada@example.com"}, "ada@example.com"),
    ],
)
def test_who_did_something_is_a_person_or_a_kind_of_program(by: dict[str, str | None] | None, written: str) -> None:
    assert author(by) == written


@pytest.mark.parametrize(
    ("text", "read"),
    [("0", 0), ("007", 7), ("9" * 9, 999_999_999), ("9" * 10, None), ("9" * 5000, None), ("²", None), ("٣", None),
     ("-1", None), ("1.5", None), (" 1", None), ("1_0", None), ("", None)],
)  # fmt: skip
def test_a_whole_number_is_read_strictly(text: str, read: int | None) -> None:
    assert whole(text) == read


@pytest.mark.parametrize(("id", "shown"), [("thr_ChNGLVuUo3uyYMJVec37q", "thr_…Vec37q"), ("orders", "orders")])
def test_a_thread_of_a_name_of_one_s_own_is_called_by_all_of_it(id: str, shown: str) -> None:
    assert thread_end(id) == shown
