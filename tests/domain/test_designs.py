"""Designs: what is stored, what is inherited, what holds."""

from ingram_app.domain import designs
from ingram_app.domain.designs import Design

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
