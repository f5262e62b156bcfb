"""Callers as the doors make them."""

from collections.abc import Callable

import pytest

from ingram_app.domain.access import ORGANIZATION, TENANT, Actor, Caller
from tests.world import World


@pytest.fixture(scope="module")
def tenant(world: World) -> Caller:
    """The project's tenant-admin."""
    return Caller(Actor("tenant", world.project.id), frozenset({TENANT}), project_id=world.project.id)


@pytest.fixture(scope="module")
def above(world: World) -> Caller:
    """The organization's key."""
    actor = Actor("organization", world.organization_id)
    return Caller(actor, frozenset({ORGANIZATION}), organization_id=world.organization_id)


@pytest.fixture(scope="module")
def of_smith(world: World) -> Callable[..., Caller]:
    """Make a smith's caller, with some permissions."""

    def made(smith_id: str, *permissions: str) -> Caller:
        actor = Actor("smith", smith_id)
        return Caller(actor, frozenset(permissions), project_id=world.project.id, smith_id=smith_id)

    return made
