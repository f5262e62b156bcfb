"""The catalog: whoever may look at agents may look at it."""

import pytest

from ingram_app.core.errors import IngramError
from ingram_app.domain import catalog
from ingram_app.domain.access import Actor, Caller, Role


def teammate(role: Role) -> Caller:
    return Caller(Actor("operator", "usr_1"), role.scopes, project_id="proj_1", organization_id="org_1")


@pytest.mark.parametrize("role", Role)
def test_every_teammate_may_look(role: Role) -> None:
    assert catalog.find(teammate(role), "deepwiki") in catalog.browse(teammate(role))


def test_a_smith_may_not() -> None:
    smith = Caller(Actor("smith", "smt_1"), frozenset({"runs:write"}), project_id="proj_1", smith_id="smt_1")
    with pytest.raises(IngramError):
        catalog.browse(smith)
