"""Circuits: which models behind which keys have lately done nothing but fail, as this process has seen it.

A model that has failed so many times in a row is not asked again and again: while its circuit is open each run asks it
once, or not at all when another model stands by. The first answer closes it.
"""

import time
from copy import copy
from dataclasses import dataclass

from ingram_app.domain.model_keys import Access
from ingram_app.gateways.providers import Credential, ModelRequestFailed

FAILURES = 5
"""In a row; then the circuit opens."""
OPEN_SECONDS = 15.0
MOST = 1000
"""Circuits that are remembered; the oldest are forgotten first."""

Key = tuple[str, str, Credential]


@dataclass(slots=True)
class Circuit:
    failures: int
    last: ModelRequestFailed
    until: float = 0.0


_circuits: dict[Key, Circuit] = {}


def last_failure(access: Access) -> ModelRequestFailed | None:
    """Return why a model has failed the last time, while its circuit is open."""
    circuit = _circuits.get(_key(access)) if access.credential else None
    if circuit is None or circuit.until < time.monotonic():
        return None
    return copy(circuit.last)


def failed(access: Access, failure: ModelRequestFailed) -> None:
    """Count a failure of a model. One that runs here, without a key, is none of another's business."""
    if access.credential is None:
        return
    circuit = _circuits.setdefault(_key(access), Circuit(0, failure))
    circuit.failures, circuit.last = circuit.failures + 1, failure
    if circuit.failures >= FAILURES:
        circuit.until = time.monotonic() + max(OPEN_SECONDS, failure.wait_seconds or 0)
    while len(_circuits) > MOST:
        del _circuits[next(iter(_circuits))]


def answered(access: Access) -> None:
    """Close a model's circuit."""
    if access.credential is not None:
        _circuits.pop(_key(access), None)


def _key(access: Access) -> Key:
    assert access.credential is not None
    return access.provider.id, access.name, access.credential
