"""Model providers: find one by a model's id, and ask it."""

from ingram_app.gateways.providers.answering import Answer, Delta, ReasoningDelta, TextDelta, stream
from ingram_app.gateways.providers.failures import (
    ModelAnswerEmpty,
    ModelKeyRefused,
    ModelNotFound,
    ModelQuotaExceeded,
    ModelRateLimited,
    ModelRequestFailed,
    ModelRequestRefused,
    ModelStreamBroken,
    ModelTimedOut,
    ModelUnavailable,
)
from ingram_app.gateways.providers.provider import (
    BaseUrlRequired,
    CatalogModel,
    Credential,
    ModelKeyMissing,
    Provider,
)
from ingram_app.gateways.providers.registry import CUSTOM_ID, PROVIDERS, UnknownProvider, find, named

__all__ = [
    "CUSTOM_ID",
    "PROVIDERS",
    "Answer",
    "BaseUrlRequired",
    "CatalogModel",
    "Credential",
    "Delta",
    "ModelAnswerEmpty",
    "ModelKeyMissing",
    "ModelKeyRefused",
    "ModelNotFound",
    "ModelQuotaExceeded",
    "ModelRateLimited",
    "ModelRequestFailed",
    "ModelRequestRefused",
    "ModelStreamBroken",
    "ModelTimedOut",
    "ModelUnavailable",
    "Provider",
    "ReasoningDelta",
    "TextDelta",
    "UnknownProvider",
    "find",
    "named",
    "stream",
]
