"""Which models behind which keys have lately done nothing but fail.

While such a model's circuit is open each run asks it once, or not at all when another model stands by.
"""

from copy import copy

from ingram_app.core.circuits import Circuits
from ingram_app.domain.model_keys import Access
from ingram_app.gateways.providers import Credential, ModelRequestFailed

Key = tuple[str, str, Credential]
_circuits: Circuits[Key, ModelRequestFailed] = Circuits(failures=5, seconds=15)


def last_failure(access: Access) -> ModelRequestFailed | None:
    """Return why a model has failed the last time, while its circuit is open."""
    key = _key(access)
    return copy(_circuits.last_failure(key)) if key else None


def failed(access: Access, failure: ModelRequestFailed) -> None:
    """Count a failure of a model."""
    if key := _key(access):
        _circuits.failed(key, failure, at_least_seconds=failure.wait_seconds or 0)


def answered(access: Access) -> None:
    """Close a model's circuit."""
    if key := _key(access):
        _circuits.answered(key)


def _key(access: Access) -> Key | None:
    """One that runs here, without a key, has none: it is none of another's business."""
    return (access.provider.id, access.name, access.credential) if access.credential is not None else None
