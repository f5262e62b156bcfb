"""Circuits: who has lately done nothing but fail, as this process has seen it.

Whoever has failed so many times in a row is left alone for a while: its circuit is open. Then one more failure opens it
again, and a success closes it for good.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar

MOST = 1000
"""Circuits of a kind that are remembered; the oldest are forgotten first."""

Key = TypeVar("Key", bound=Hashable)
Failure = TypeVar("Failure", bound=Exception)


@dataclass(slots=True)
class _Circuit(Generic[Failure]):
    failures: int
    last: Failure
    until: float = 0.0


class Circuits(Generic[Key, Failure]):
    """The circuits of one kind of others, which open after so many `failures` in a row, for so many `seconds`."""

    def __init__(self, *, failures: int, seconds: float) -> None:
        self._failures = failures
        self._seconds = seconds
        self._circuits: dict[Key, _Circuit[Failure]] = {}

    def last_failure(self, key: Key) -> Failure | None:
        """Return what went wrong the last time, while the circuit is open."""
        circuit = self._circuits.get(key)
        return circuit.last if circuit is not None and circuit.until >= monotonic() else None

    def failed(self, key: Key, failure: Failure, *, at_least_seconds: float = 0) -> None:
        """Count a failure; a circuit that opens by it is open for as long as asked at least."""
        circuit = self._circuits.setdefault(key, _Circuit(0, failure))
        circuit.failures, circuit.last = circuit.failures + 1, failure
        if circuit.failures >= self._failures:
            circuit.until = monotonic() + max(self._seconds, at_least_seconds)
        while len(self._circuits) > MOST:
            del self._circuits[next(iter(self._circuits))]

    def answered(self, key: Key) -> None:
        """Close a circuit."""
        self._circuits.pop(key, None)
