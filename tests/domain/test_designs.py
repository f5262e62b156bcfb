"""Designs: what is stored, what is inherited, what holds."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from ingram_app.domain import designs
from ingram_app.domain.designs import Design, InvalidDesign

BLANK = designs.plain(Design())


def test_a_change_leaves_the_other_fields() -> None:
    stored = designs.changed({}, {"instructions": "one", "model": "test/echo"})
    assert designs.changed(stored, {"instructions": "two"}) == BLANK | {"instructions": "two", "model": "test/echo"}


def test_null_puts_a_field_back_to_its_default() -> None:
    stored = designs.changed({}, {"instructions": "one", "enabled_hosted_tools": ["search"]})
    assert designs.changed(stored, {"instructions": None, "enabled_hosted_tools": None}) == BLANK


def test_a_design_stored_before_a_field_was_born_has_it() -> None:
    assert set(designs.changed({"instructions": "old"}, {})) == set(designs.FIELDS)
    assert set(designs.effective({"instructions": "old"}, {})) == set(designs.FIELDS)


def test_overrides_win_over_the_agent_and_the_agent_over_nature() -> None:
    agent = designs.changed({}, {"model": "agent's", "instructions": "agent's"})
    config = designs.effective(agent, {"model": "mine"})
    assert (config["model"], config["instructions"], config["auto_memory"]) == ("mine", "agent's", True)
    assert designs.effective(BLANK, {})["model"] == "default"


def test_no_default_is_shared_between_two_designs() -> None:
    one = designs.changed({}, {})
    one["enabled_hosted_tools"].append("mine")
    assert designs.changed({}, {})["enabled_hosted_tools"] == []


VALUES = {
    "instructions": st.none() | st.text(max_size=20),
    "model": st.none() | st.sampled_from(["default", "test/echo"]),
    "enabled_hosted_tools": st.none() | st.lists(st.sampled_from(["search", "mail"]), max_size=2),
    "mcp_servers": st.none() | st.lists(st.sampled_from(["crm"]), max_size=1),
    "auto_memory": st.none() | st.booleans(),
}
CHANGES = st.fixed_dictionaries({}, optional=VALUES)
OWN = CHANGES.map(lambda changes: {field: value for field, value in changes.items() if value is not None})


@given(CHANGES, CHANGES)
def test_of_two_changes_each_field_keeps_its_last(one: dict[str, Any], two: dict[str, Any]) -> None:
    apart = designs.changed(designs.changed({}, one), two)
    assert apart == designs.changed({}, one | two)
    assert designs.changed(apart, two) == apart


@given(CHANGES, OWN, OWN)
def test_what_is_effective_is_the_override_where_there_is_one(
    agent: dict[str, Any], own: dict[str, Any], later: dict[str, Any]
) -> None:
    design = designs.changed({}, agent)
    config = designs.effective(design, own)
    inherited = designs.effective(design, {})
    assert set(config) == set(designs.FIELDS)
    assert config == inherited | own
    assert designs.effective(config, {}) == config
    assert designs.effective(design, own | later) == designs.effective(config, later)


@pytest.mark.parametrize("default", ["{{ name }}", "Dear {{name}}", "{{ other }}"])
def test_a_variable_s_default_can_name_neither_itself_nor_another(default: str) -> None:
    with pytest.raises(InvalidDesign, match="plain text"):
        designs.check({"variables": [{"name": "name", "default": default}]})
    designs.check({"variables": [{"name": "name", "default": "{{}} {name} {{ no name }}"}]})
