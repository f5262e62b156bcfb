"""Rendering: what is put in the place of a name, whatever people write, and that nothing else ever happens."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from ingram_app.domain.rendering import LENGTH, clock, render

NAMES = st.sampled_from(["name", "plan", "external_id", "now", "_x1"])
SNIPPETS = st.sampled_from(
    ["{{", "}}", "{", "}", "{{ name }}", "{{plan}}", "{{ name.x }}", "{% if %}", "${name}", "\\", "%s"]
)
TEXTS = st.lists(st.one_of(SNIPPETS, st.text(max_size=20)), max_size=12).map("".join)
VALUES = st.one_of(st.none(), TEXTS, st.booleans(), st.integers(), st.lists(st.text(max_size=5), max_size=3))
GIVERS = st.dictionaries(NAMES, VALUES, max_size=5)
VARIABLES = st.lists(
    st.fixed_dictionaries({"name": NAMES, "default": st.none() | st.text(max_size=20), "required": st.booleans()}),
    max_size=4,
)


def filled(text: str, *givers: dict[str, Any], variables: list[dict[str, Any]] = []) -> str | None:  # noqa: B006
    return render(text, variables, *givers).text


@given(st.one_of(st.none(), TEXTS), VARIABLES, GIVERS, GIVERS)
def test_rendering_never_fails_and_its_result_is_bounded(
    text: str | None, variables: list[dict[str, Any]], built_in: dict[str, Any], about: dict[str, Any]
) -> None:
    rendered = render(text, variables, built_in, about)
    assert (rendered.text is None) == (text is None)
    assert len(rendered.text or "") <= LENGTH
    assert {warning["code"] for warning in rendered.warnings} <= {"variable_missing", "instructions_cut"}


@given(st.text().filter(lambda text: "{{" not in text), VARIABLES, GIVERS)
def test_a_text_without_names_stays_as_it_is(text: str, variables: list[dict[str, Any]], about: dict[str, Any]) -> None:
    assert render(text, variables, about).text == text


@given(TEXTS, TEXTS)
def test_a_value_is_put_in_letter_for_letter_and_never_read_again(before: str, value: str) -> None:
    before = before.replace("{", "(")
    assert filled(before + "{{ name }}!", {"name": value, "plan": "gold"}) == before + value + "!"


@given(TEXTS)
def test_what_nobody_has_named_stays_as_it_was_written(text: str) -> None:
    assert filled(text) == text


@pytest.mark.parametrize("value", ["{{ name }}", "{{ plan }}", "{{ 7 * 7 }}", "{{ ''.__class__ }}", "{% raw %}"])
def test_nothing_in_a_value_is_a_name(value: str) -> None:
    assert filled("Hello {{ name }}.", {"name": value, "plan": "gold"}) == f"Hello {value}."


def test_two_values_that_name_each_other_can_not_loop() -> None:
    assert filled("{{ a }}", {"a": "{{ b }}", "b": "{{ a }}"}) == "{{ b }}"


def test_what_is_built_in_wins_over_metadata_and_metadata_over_a_default() -> None:
    variables = [{"name": name, "default": "default"} for name in ("locale", "plan", "tone")]
    told = filled(
        "{{ locale }} {{plan}} {{tone}}", {"locale": "de"}, {"locale": "x", "plan": "gold"}, variables=variables
    )
    assert told == "de gold default"


def test_nothing_built_in_leaves_the_default_standing() -> None:
    variables = [{"name": "display_name", "default": "friend"}]
    assert filled("Hello {{ display_name }}", {"display_name": None}, variables=variables) == "Hello friend"


def test_a_declared_variable_without_a_value_is_empty_and_a_required_one_a_warning() -> None:
    variables = [{"name": "plan", "required": True}, {"name": "tone"}, {"name": "plan", "required": True}]
    rendered = render("[{{ plan }}][{{ tone }}][{{ other }}]", variables, {"plan": None})
    assert rendered.text == "[][][{{ other }}]"
    assert [warning["code"] for warning in rendered.warnings] == ["variable_missing"]
    assert "plan" in rendered.warnings[0]["message"]
    assert render("[{{ plan }}]", variables, {"plan": ""}).warnings == []


@pytest.mark.parametrize(("value", "told"), [(True, "true"), (1.5, "1.5"), ({"a": [1]}, '{"a": [1]}'), ("é", "é")])
def test_values_that_are_no_text_are_spelt_as_json(value: Any, told: str) -> None:
    assert filled("{{ name }}", {"name": value}) == told


def test_a_result_without_end_is_cut_off_before_it_is_made() -> None:
    rendered = render("{{ name }}" * 9_000, [], {"name": "x" * 1_000_000})
    assert len(rendered.text or "") == LENGTH
    assert [warning["code"] for warning in rendered.warnings] == ["instructions_cut"]


@pytest.mark.parametrize(
    ("timezone", "told"),
    [
        ("Europe/Vienna", "Tuesday, 2026-11-24 00:30 (Europe/Vienna)"),
        (None, "Monday, 2026-11-23 23:30 (UTC)"),
        *(
            (name, "Monday, 2026-11-23 23:30 (UTC)")
            for name in ("Nowhere", "../../etc/passwd", "Europe", "/", "\0", "")
        ),
    ],
)
def test_now_is_told_in_the_time_zone_of_the_person(timezone: str | None, told: str) -> None:
    assert clock(datetime(2026, 11, 23, 23, 30, tzinfo=UTC), timezone) == told
