"""What a role may do in a project."""

import pytest

from ingram_app.domain.access import Actor, Caller, InsufficientScope, Role


def sitting(role: Role) -> Caller:
    return Caller(Actor("operator", "usr_1"), role.scopes, project_id="proj_1", organization_id="org_1")


@pytest.mark.parametrize("role", [Role.member, Role.viewer])
def test_only_owners_and_admins_say_where_conversations_are_sent(role: Role) -> None:
    for permission in ("model_keys:write", "tokens:write", "project:write"):
        with pytest.raises(InsufficientScope):
            sitting(role).require(permission)
    sitting(role).require("model_keys:read")
    sitting(Role.admin).require("model_keys:write")


def test_members_build_and_viewers_look() -> None:
    for permission in ("agents:write", "smiths:write", "runs:write"):
        sitting(Role.member).require(permission)
        with pytest.raises(InsufficientScope):
            sitting(Role.viewer).require(permission)
