"""What can go wrong with a model request, in our words.

    ModelRequestFailed           502  model_request_failed
    ├── ModelKeyRefused               the provider refuses the key
    ├── ModelQuotaExceeded            the account at the provider has nothing left
    ├── ModelNotFound                 the provider knows no such model
    ├── ModelRequestRefused           the provider refuses the request, and says why
    ├── ModelAnswerEmpty              an answer, but nothing in it
    ├── ModelRateLimited         ↻    the provider asks to slow down
    ├── ModelUnavailable         ↻    nothing came: down or unreachable
    │   └── ModelTimedOut             nothing came in time
    └── ModelStreamBroken        ↻    the answer broke off

↻ = `retryable`: asking again, or another model, may help, as long as nothing of the answer has come (`begun`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import httpx2
from pydantic_ai import exceptions

from ingram_app.core.errors import IngramError, UpstreamFailed

_LONGEST_REASON = 500


class ModelRequestFailed(UpstreamFailed):
    """{provider} failed to answer with {model}: {reason}"""

    retryable: ClassVar[bool] = False
    begun = False
    """Something of the answer had come already."""
    wait_seconds: float | None = None
    """How long the provider asks to wait, when it says so."""


class ModelKeyRefused(ModelRequestFailed):
    """{provider} refused the key for {model}. Check that the key is right, has not expired and may use this model."""


class ModelQuotaExceeded(ModelRequestFailed):
    """The account at {provider} has no credit or quota left for {model}. Top it up there, or choose another model."""


class ModelNotFound(ModelRequestFailed):
    """{provider} knows no model {model}, or does not offer it to this key. Check the model's id, and the base_url
    when the key has one."""


class ModelRequestRefused(ModelRequestFailed):
    """{provider} refused the request to {model}: {reason}"""


class ModelAnswerEmpty(ModelRequestFailed):
    """{provider} ended the answer of {model} with neither text nor a tool call in it (finish reason: {reason})."""


class ModelRateLimited(ModelRequestFailed):
    """{provider} asks to slow down on {model}. Try again a little later, or ask {provider} for a higher limit."""

    retryable = True
    retry_after_seconds = 5


class ModelUnavailable(ModelRequestFailed):
    """{provider} can not be reached or is down, so {model} did not answer: {reason}"""

    retryable = True


class ModelTimedOut(ModelUnavailable):
    """{provider} did not begin to answer with {model} in time: {reason}"""


class ModelStreamBroken(ModelRequestFailed):
    """{provider} broke off while {model} was answering: {reason}"""

    retryable = True


_BY_CATEGORY: tuple[tuple[type[exceptions.ModelAPIError], type[ModelRequestFailed]], ...] = (
    (exceptions.ModelAuthenticationError, ModelKeyRefused),
    (exceptions.ModelNotFoundError, ModelNotFound),
    (exceptions.ModelQuotaExceededError, ModelQuotaExceeded),
    (exceptions.ModelRateLimitError, ModelRateLimited),
    (exceptions.ModelRequestRejectedError, ModelRequestRefused),
    (exceptions.ModelUnavailableError, ModelUnavailable),
    (exceptions.ModelServerError, ModelUnavailable),
    (exceptions.ModelConnectionError, ModelUnavailable),
    (exceptions.ModelRequestTimeout, ModelTimedOut),
)
_BY_STATUS = {
    401: ModelKeyRefused,
    402: ModelQuotaExceeded,
    403: ModelKeyRefused,
    404: ModelNotFound,
    408: ModelUnavailable,
    429: ModelRateLimited,
}
_FOREIGN = (exceptions.AgentRunError, exceptions.UserError, httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL)


class Whose:
    """Whose failure it would be, and whether something of the answer has come already."""

    def __init__(self, provider: str, model: str, secret: str | None) -> None:
        self.provider = provider
        self.model = model
        self.begun = False
        self._secret = secret

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turn what adapters raise into ours. Raises one of `ModelRequestFailed`, or what was ours from the start."""
        try:
            yield
        except IngramError:
            raise
        except _FOREIGN as failure:
            # Without a cause: the foreign ones can carry headers, and with them the key, into a log.
            raise self._ours(failure) from None
        except Exception as surprise:
            # An SDK that stumbles over an answer must not end more than this request; the cause tells where.
            raise self.error(ModelRequestFailed, f"{type(surprise).__name__} in its adapter") from surprise

    def error(self, kind: type[ModelRequestFailed], reason: str) -> ModelRequestFailed:
        """Return the error with its facts; the reason is cut to 500 characters and never holds the key."""
        if self._secret:
            reason = reason.replace(self._secret, "…")
        if len(reason) > _LONGEST_REASON:
            reason = reason[: _LONGEST_REASON - 1] + "…"
        error = kind(provider=self.provider, model=self.model, reason=reason)
        error.begun = self.begun
        return error

    def _ours(self, failure: Exception) -> IngramError:
        if hidden := _hidden(failure):
            return hidden
        error = self.error(self._kind(failure), _reason(failure))
        if isinstance(failure, exceptions.ModelAPIError):
            error.wait_seconds = failure.retry_after
        return error

    def _kind(self, failure: Exception) -> type[ModelRequestFailed]:
        if self.begun:
            return ModelStreamBroken
        for category, kind in _BY_CATEGORY:
            if isinstance(failure, category):
                return kind
        match failure:
            case exceptions.ModelHTTPError(status_code=status):
                return _BY_STATUS.get(status, ModelUnavailable if status >= 500 else ModelRequestRefused)
            case exceptions.ModelAPIError() | exceptions.UnexpectedModelBehavior():
                return ModelStreamBroken
            case exceptions.UserError() | httpx2.InvalidURL() | httpx2.UnsupportedProtocol():
                return ModelRequestRefused
            case httpx2.ReadTimeout():
                return ModelTimedOut
        return ModelUnavailable


def _hidden(failure: BaseException) -> IngramError | None:
    """Return the error of ours that an adapter has wrapped into one of its own, if any."""
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, IngramError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


def _reason(failure: Exception) -> str:
    if isinstance(failure, exceptions.ModelAPIError):
        if message := _message_in(failure.body):
            return message
        if isinstance(failure, exceptions.ModelHTTPError):
            return f"it answered with status {failure.status_code}"
    return str(failure) or f"{type(failure).__name__}"


def _message_in(body: object) -> str | None:
    """Return the human part of an error body: {"error": {"message": …}} and its many relatives."""
    match body:
        case str():
            return body.strip() or None
        case {"message": str(message)} if message:
            return message
        case {"error": inner} | {"detail": inner} | [inner, *_]:
            return _message_in(inner)
    return None
