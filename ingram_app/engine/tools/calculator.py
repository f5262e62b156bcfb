"""The calculator: exact decimals, nothing evaluated, and no number longer than `DIGITS`."""

import re
from collections.abc import Callable
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation
from math import factorial, log10
from typing import Any

from ingram_app.engine.tools.tool import Deed, ToolRefused, Use

DIGITS = 1000
ROUNDED_TO = 50
"""Significant digits of what can not be told exactly."""
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,6})?", re.ASCII)
_EXACT = Context(prec=4 * DIGITS, traps=[InvalidOperation, Inexact])
_ROUNDED = Context(prec=ROUNDED_TO, traps=[InvalidOperation])
_FINER = Context(prec=ROUNDED_TO + 15, traps=[InvalidOperation])


def _power(base: Decimal, exponent: Decimal) -> Decimal:
    if base == 0:
        if exponent <= 0:
            raise ToolRefused(f"0 to the power of {exponent} is not defined.")
        return Decimal(0)
    whole = exponent == exponent.to_integral_value()
    if base < 0 and not whole:
        raise ToolRefused("A negative number has no real power with a fraction as its exponent.")
    _check_size(_length(base) * abs(float(exponent)))
    if not whole:
        return _ROUNDED.plus(_FINER.power(base, exponent))
    power = _EXACT.power(base, abs(int(exponent)))
    return power if exponent >= 0 else _ROUNDED.divide(Decimal(1), power)


def _root(number: Decimal, degree: int = 2) -> Decimal:
    if number < 0 and degree % 2 == 0:
        raise ToolRefused(f"A negative number has no real root of degree {degree}.")
    if degree == 2:
        return _ROUNDED.sqrt(number)
    if number == 0:
        return number
    root = _FINER.power(abs(number), _FINER.divide(Decimal(1), Decimal(degree)))
    return _ROUNDED.plus(root.copy_sign(number))


def _divide(a: Decimal, b: Decimal) -> Decimal:
    _check_divisor(b)
    return _ROUNDED.divide(a, b)


def _remainder(a: Decimal, b: Decimal) -> Decimal:
    _check_divisor(b)
    return _EXACT.remainder(a, b)


def _check_divisor(number: Decimal) -> None:
    if number == 0:
        raise ToolRefused("Nothing can be divided by 0.")


def _length(number: Decimal) -> float:
    """Return about how many digits a number grows by each time it is multiplied by this one."""
    _, digits, exponent = number.as_tuple()
    coefficient = int("".join(map(str, digits)))
    return log10(coefficient) + abs(int(exponent))


def _check_size(digits: float) -> None:
    if digits > DIGITS:
        raise ToolRefused(f"This has more than {DIGITS} digits, which is more than is calculated with.")


def _read(given: Any) -> Decimal:
    text = str(given).strip()
    if len(text) > 2 * DIGITS or _NUMBER.fullmatch(text) is None:
        raise ToolRefused(f"{text[:40]!r} is no number in decimal notation.")
    number = _EXACT.create_decimal(text)
    _check_size(max(abs(number.adjusted()), len(number.as_tuple().digits)))
    return number


def _shown(number: Decimal) -> str:
    _check_size(max(abs(number.adjusted()), len(number.as_tuple().digits)))
    plain = number.normalize(_EXACT)
    return format(plain if plain else Decimal(0), "f")


def _calculates(calculate: Callable[..., Decimal], *counts: str) -> Deed:
    """Return the deed that reads numbers, all but those named `counts`, and tells what `calculate` makes of them."""

    async def deed(use: Use, arguments: dict[str, Any]) -> str:
        try:
            read = {name: int(given) if name in counts else _read(given) for name, given in arguments.items()}
            return _shown(calculate(**read))
        except DecimalException:
            raise ToolRefused(f"This can not be told within {DIGITS} digits.") from None

    return deed


DEEDS: dict[str, Deed] = {
    "add": _calculates(lambda a, b: _EXACT.add(a, b)),
    "subtract": _calculates(lambda a, b: _EXACT.subtract(a, b)),
    "multiply": _calculates(lambda a, b: _EXACT.multiply(a, b)),
    "divide": _calculates(_divide),
    "remainder": _calculates(_remainder),
    "power": _calculates(_power),
    "root": _calculates(_root, "degree"),
    "factorial": _calculates(lambda n: Decimal(factorial(n)), "n"),
}
