"""Who is asking, where they stand, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from ingram_app.core.database import Tenancy
from ingram_app.core.errors import Refused

_NOUNS = [
    "runs",
    "conversations",
    "memories",
    "connections",
    "deployments",
    "schedules",
    "approvals",
    "traces",
    "usage",
    "customers",
    "files",
    "vector_stores",
    "model_keys",
    "skills",
]
PERMISSIONS = frozenset(f"{noun}:{verb}" for noun in _NOUNS for verb in ("read", "write")) | {"embeddings:write"}
"""What a smith token may carry. `agents`, `smiths`, `tokens`, `events`, `webhooks`, `budgets`, `stripe` and `project`
are for who runs the project."""

TENANT = "tenant:*"
ORGANIZATION = "organization:*"

_OPERATORS_READ = frozenset(p for p in PERMISSIONS if p.endswith(":read")) | {
    "agents:read",
    "smiths:read",
    "tokens:read",
    "project:read",
    "events:read",
    "webhooks:read",
    "budgets:read",
    "stripe:read",
}
_OPERATORS_BUILD = (PERMISSIONS - {"model_keys:write"}) | _OPERATORS_READ | {"agents:write", "smiths:write"}
"""Keys, webhooks and budgets are for owners and admins: whoever sets one says where what happens in the project is
sent, or how much may be spent."""


class Role(StrEnum):
    owner = "owner"
    admin = "admin"
    member = "member"
    viewer = "viewer"

    @property
    def scopes(self) -> frozenset[str]:
        """What a teammate may do in each project of the organization."""
        if self is Role.viewer:
            return _OPERATORS_READ
        if self is Role.member:
            return _OPERATORS_BUILD
        return frozenset({TENANT, ORGANIZATION})


ActorKind = Literal["smith", "tenant", "operator", "organization", "platform"]


class InsufficientScope(Refused):
    """This needs the permission `{permission}`, which {who} does not carry."""


class SmithMismatch(Refused):
    """This token is for the smith {own} alone; it can not act for {smith_id}."""


class TenantTokenRequired(Refused):
    """This needs a tenant-admin token (`tha_live_…`) of a project."""


class OrganizationRequired(Refused):
    """This needs an organization key (`tho_live_…`)."""


class AdminRequired(Refused):
    """Only owners and admins of the organization may do this."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something, as it is written beside the deed."""

    kind: ActorKind
    id: str
    token_id: str | None = None
    email: str | None = None

    def as_json(self) -> dict[str, str | None]:
        return {"kind": self.kind, "id": self.id, "token_id": self.token_id, "email": self.email}


@dataclass(frozen=True, slots=True)
class Caller:
    """One principal, standing in one project or, with an organization key, above its projects."""

    actor: Actor
    scopes: frozenset[str]
    project_id: str = ""
    organization_id: str = ""
    smith_id: str = ""
    """Set on smith tokens: the one smith they are for."""
    address: str = ""
    """Where the request comes from."""

    @property
    def tenancy(self) -> Tenancy:
        return Tenancy(project_id=self.project_id, organization_id=self.organization_id, smith_id=self.smith_id)

    def require(self, permission: str) -> None:
        """Raises `TenantTokenRequired`, `InsufficientScope`."""
        if not self.project_id:
            raise TenantTokenRequired()
        if TENANT in self.scopes or permission in self.scopes:
            return
        if self.smith_id and permission not in PERMISSIONS:
            raise TenantTokenRequired()
        raise InsufficientScope(permission=permission, who="this token" if self.actor.token_id else "your role")

    def require_organization(self) -> None:
        """Raises `OrganizationRequired`, `AdminRequired`."""
        if not self.organization_id:
            raise OrganizationRequired()
        if ORGANIZATION not in self.scopes:
            raise AdminRequired()

    def require_own(self, smith_id: str) -> None:
        """Hold a smith token to its smith. Raises `TenantTokenRequired`, `SmithMismatch`."""
        if not self.project_id:
            raise TenantTokenRequired()
        if self.smith_id and self.smith_id != smith_id:
            raise SmithMismatch(own=self.smith_id, smith_id=smith_id)


def as_smith(project_id: str, smith_id: str, *permissions: str) -> Caller:
    """Return the caller that a smith is, for what it does in its turns; the database shows it no other smith's rows."""
    return Caller(Actor("smith", smith_id), frozenset(permissions), project_id=project_id, smith_id=smith_id)


def platform(project_id: str) -> Caller:
    """Return the caller that the platform itself is, for what it does in a project unasked."""
    return Caller(Actor("platform", "platform"), frozenset({TENANT}), project_id=project_id)
