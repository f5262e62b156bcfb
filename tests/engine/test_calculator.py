"""The calculator: exact, and never longer at it than a moment."""

import time
from typing import Any

import pytest

from ingram_app.core import schemas
from ingram_app.domain.hosted_tools import HOSTED_TOOLS, functions
from ingram_app.engine.tools import DEEDS, ToolRefused

USE: Any = None
"""Calculating needs to know nothing of the run."""


async def calculate(name: str, **arguments: Any) -> Any:
    [function] = [one for _, one in functions(["calculator"]) if one.name == name]
    assert schemas.fault(function.parameters, arguments) is None
    return await DEEDS[name](USE, arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("add", {"a": 0.1, "b": 0.2}, "0.3"),
        ("add", {"a": "1" + "0" * 40, "b": "1e-40"}, "1" + "0" * 40 + "." + "0" * 39 + "1"),
        ("subtract", {"a": 1, "b": "1.0"}, "0"),
        ("subtract", {"a": "-0", "b": 0}, "0"),
        (
            "multiply",
            {"a": "99999999999999999999", "b": 99999999999999999999},
            "9999999999999999999800000000000000000001",
        ),
        ("divide", {"a": 1, "b": 8}, "0.125"),
        ("divide", {"a": 2, "b": 3}, "0." + "6" * 49 + "7"),
        ("remainder", {"a": -7, "b": 3}, "-1"),
        ("power", {"base": 2, "exponent": 200}, str(2**200)),
        ("power", {"base": "1.1", "exponent": 3}, "1.331"),
        ("power", {"base": 2, "exponent": -2}, "0.25"),
        ("power", {"base": 10, "exponent": 900}, "1" + "0" * 900),
        ("power", {"base": 1, "exponent": "9e900"}, "1"),
        ("power", {"base": 2, "exponent": 0.5}, "1.4142135623730950488016887242096980785696718753769"),
        ("root", {"number": 144}, "12"),
        ("root", {"number": -27, "degree": 3}, "-3"),
        ("root", {"number": 0, "degree": 3}, "0"),
        ("root", {"number": "1e100", "degree": 100}, "10"),
        ("factorial", {"n": 20}, "2432902008176640000"),
    ],
)
async def test_it_calculates_exactly(name: str, arguments: dict[str, Any], result: str) -> None:
    assert await calculate(name, **arguments) == result


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("power", {"base": 9, "exponent": 9**9}, "more than 1000 digits"),
        ("power", {"base": 9, "exponent": "9e900"}, "more than 1000 digits"),
        ("power", {"base": "1e-999", "exponent": 999}, "more than 1000 digits"),
        ("power", {"base": "1." + "1" * 900, "exponent": 2}, "more than 1000 digits"),
        ("multiply", {"a": "9" * 900, "b": "9" * 900}, "more than 1000 digits"),
        ("add", {"a": "1e1000", "b": "1e-1000"}, "more than 1000 digits"),
        ("add", {"a": "1e999999", "b": 1}, "more than 1000 digits"),
        ("add", {"a": "9" * 100_000, "b": 1}, "no number"),
        ("add", {"a": "__import__('os')", "b": 1}, "no number"),
        ("add", {"a": "NaN", "b": 1}, "no number"),
        ("add", {"a": "Infinity", "b": 1}, "no number"),
        ("add", {"a": "١", "b": 1}, "no number"),
        ("divide", {"a": 1, "b": 0}, "divided by 0"),
        ("remainder", {"a": 1, "b": "0.0"}, "divided by 0"),
        ("power", {"base": 0, "exponent": -1}, "not defined"),
        ("power", {"base": -8, "exponent": "0.5"}, "negative number"),
        ("root", {"number": -4}, "negative number"),
    ],
)
async def test_what_it_does_not_calculate_it_says_at_once(name: str, arguments: dict[str, Any], why: str) -> None:
    began = time.perf_counter()
    with pytest.raises(ToolRefused, match=why):
        await calculate(name, **arguments)
    assert time.perf_counter() - began < 0.1


@pytest.mark.parametrize(
    "arguments", [{}, {"n": -1}, {"n": 450}, {"n": 1.5}, {"n": True}, {"n": 3, "m": 1}, {"n": "3"}]
)
async def test_arguments_of_another_kind_do_not_come_so_far(arguments: dict[str, Any]) -> None:
    [function] = [one for _, one in functions(["calculator"]) if one.name == "factorial"]
    assert schemas.fault(function.parameters, arguments)


async def test_the_longest_factorial_there_is_is_told() -> None:
    assert len(await calculate("factorial", n=449)) == 998


async def test_thinking_is_noted() -> None:
    assert await DEEDS["think"](USE, {"thought": "hm"}) == "Noted."


def test_every_function_of_the_catalogue_is_done_by_somebody_and_the_other_way_round() -> None:
    assert {function.name for _, function in functions(HOSTED_TOOLS)} == set(DEEDS)
