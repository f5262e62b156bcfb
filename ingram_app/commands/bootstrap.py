"""bootstrap: an organization, a project and an owner, made or adopted, and keys for both. For scripts.

Run twice it adopts what is there, and mints new keys: those of before stay good until they are revoked. A link that
the start printed is spent as soon as an owner is named here, so theirs is printed until there is a password.
"""

import asyncio
import json
import sys
from argparse import ArgumentParser, Namespace

from ingram_app.commands.installation import open_database
from ingram_app.core.database import NOBODY, transaction
from ingram_app.domain import organizations, projects, teammates, tokens
from ingram_app.domain.access import ORGANIZATION, Actor, Caller


def take(parser: ArgumentParser) -> None:
    parser.add_argument("--organization", required=True, metavar="NAME")
    parser.add_argument("--project", required=True, metavar="NAME")
    parser.add_argument("--email", required=True, help="of the organization's owner, who sets a password by link")
    parser.add_argument(
        "--json", action="store_true", help="print one line of JSON; the link goes to standard error too"
    )


def run(arguments: Namespace) -> None:
    """Print the ids and keys. Raises `InvalidEmail`, `InvalidProjectName`."""
    with open_database():
        made, link = asyncio.run(_make(arguments.organization, arguments.project, arguments.email))
    if arguments.json:
        print(json.dumps({**made, "welcome_link": link}))
    else:
        for name, value in made.items():
            print(f"{name:16} {value}")
    if link:
        told = f"The owner sets a password, once the server runs, at: {link}"
        print(told, file=sys.stderr if arguments.json else sys.stdout)


async def _make(organization: str, project: str, email: str) -> tuple[dict[str, str], str | None]:
    async with transaction(NOBODY) as session:
        owner = await organizations.adopt(session, organization)
        caller = Caller(Actor("organization", owner.id), frozenset({ORGANIZATION}), organization_id=owner.id)
        await teammates.adopt(session, owner.id, email)
        adopted = await projects.create_or_adopt(session, caller, project)
        tenant = await tokens.mint_for_project(session, caller, adopted.id, name="bootstrap")
        key = await tokens.mint_for_organization(session, caller, name="bootstrap")
        made = {
            "organization_id": owner.id,
            "project_id": adopted.id,
            "organization_key": key.words,
            "tenant_token": tenant.words,
        }
        return made, await teammates.welcome_link(session)
