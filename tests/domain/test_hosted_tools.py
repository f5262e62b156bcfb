"""Hosted tools: a catalogue that says what a model may call."""

from ingram_app.core import schemas
from ingram_app.domain.hosted_tools import HOSTED_TOOLS, functions


def test_every_function_is_described_and_asks_for_its_arguments_in_a_schema() -> None:
    for _, function in functions(HOSTED_TOOLS):
        schemas.check(function.parameters)
        assert function.parameters["type"] == "object"
        assert function.description.endswith(".")


def test_no_name_means_two_things() -> None:
    names = [function.name for tool in HOSTED_TOOLS.values() for function in tool.functions]
    assert len(names) == len(set(names))


def test_a_tool_that_is_enabled_twice_is_there_once_and_an_unknown_one_is_not() -> None:
    found = [(of, function.name) for of, function in functions(["reasoning", "nothing", "reasoning"])]
    assert found == [("reasoning", "think"), ("reasoning", "analyze")]
