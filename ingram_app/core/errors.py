"""What can go wrong, said once.

An error class is one situation. Its docstring is the sentence the caller reads, with its facts in braces;
its name in snake case is the stable code a program can match; its parent fixes the HTTP status:

    IngramError               500  api_error
    ├── BadRequest            400  invalid_request_error   the request can not be read
    ├── Unauthenticated       401  authentication_error    we do not know who is asking
    ├── PaymentRequired       402  invalid_request_error   it costs more than is there
    ├── Refused               403  permission_error        we know, and the answer is no
    ├── NotFound              404  invalid_request_error   it is not there, or not yours
    ├── Conflict              409  invalid_request_error   it is there, but not in that state
    ├── TooLarge              413  invalid_request_error   it is more than we take
    ├── Invalid               422  invalid_request_error   the request makes no sense
    ├── TooMany               429  rate_limit_error        not now; later
    ├── UpstreamFailed        502  api_error               somebody we called answered badly
    └── Unavailable           503  api_error               something we need is not there; later

`param` names the field at fault, dotted, when there is one.
"""

import re
from typing import ClassVar


class IngramError(Exception):
    """Something went wrong on our side. It has been logged under the request id of this answer."""

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "api_error"
    code: ClassVar[str] = "internal_error"
    retry_after_seconds: ClassVar[int | None] = None

    def __init_subclass__(cls) -> None:
        if "code" not in vars(cls):
            cls.code = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(self, *, param: str | None = None, **facts: object) -> None:
        self.param = param
        self.facts = facts
        super().__init__(self.sentence)

    @property
    def sentence(self) -> str:
        return " ".join((type(self).__doc__ or "").split()).format(**self.facts)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.param, self.facts)


def _rebuild(kind: type[IngramError], param: str | None, facts: dict[str, object]) -> IngramError:
    return kind(param=param, **facts)


class BadRequest(IngramError):
    """The request can not be read."""

    status = 400
    kind = "invalid_request_error"


class Unauthenticated(IngramError):
    """Send a valid token: `Authorization: Bearer …`."""

    status = 401
    kind = "authentication_error"


class PaymentRequired(IngramError):
    """This costs more than there is for it."""

    status = 402
    kind = "invalid_request_error"


class Refused(IngramError):
    """You may not do this."""

    status = 403
    kind = "permission_error"


class NotFound(IngramError):
    """There is no {noun} {id} here. Check the id, and that the token belongs to its project."""

    status = 404
    kind = "invalid_request_error"
    code = "not_found"


class Conflict(IngramError):
    """This can not be done in the present state."""

    status = 409
    kind = "invalid_request_error"


class TooLarge(IngramError):
    """The request is larger than what is taken."""

    status = 413
    kind = "invalid_request_error"


class Invalid(IngramError):
    """The request makes no sense."""

    status = 422
    kind = "invalid_request_error"


class TooMany(IngramError):
    """Too many requests. Try again a little later."""

    status = 429
    kind = "rate_limit_error"
    retry_after_seconds = 1


class UpstreamFailed(IngramError):
    """A service that was called answered badly."""

    status = 502


class Unavailable(IngramError):
    """A service that this needs is not there. Try again a little later."""

    status = 503
    retry_after_seconds = 5
