"""What comes of enrolling: who gives tokens for a resource, and what we are there. No SDK is needed to know it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ingram_app.gateways.oauth_presets import AuthMethod


class NotOffered(Exception):
    """There is nothing to enrol at; the text says what is missing."""


class EnrolmentFailed(Exception):
    """Somebody did not answer as they should; the text says who and how."""


@dataclass(frozen=True, slots=True)
class Office:
    """Who gives tokens for a resource."""

    resource: str
    """What tokens are asked for (RFC 8707)."""
    scopes: list[str]
    """What the resource wants to be asked for."""
    known: Any
    """What they say of themselves: the `OAuthMetadata` of the SDK."""

    @property
    def issuer(self) -> str:
        return str(self.known.issuer)

    @property
    def authorize_url(self) -> str:
        return str(self.known.authorization_endpoint)

    @property
    def token_uri(self) -> str:
        return str(self.known.token_endpoint)

    @property
    def revoke_uri(self) -> str | None:
        return str(self.known.revocation_endpoint) if self.known.revocation_endpoint else None

    @property
    def names_itself(self) -> bool:
        """It says who it is whenever it sends a person back (RFC 9207)."""
        return self.known.authorization_response_iss_parameter_supported is True


@dataclass(frozen=True, slots=True)
class Client:
    """Us, as an authorization server has taken us in."""

    client_id: str
    client_secret: str
    """Empty, with the method `none`."""
    auth_method: AuthMethod
    secret_expires_at: datetime | None
