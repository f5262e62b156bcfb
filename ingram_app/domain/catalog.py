"""The catalog: MCP servers that the public knows, so that nobody need look up where they are."""

from dataclasses import dataclass
from typing import Literal

from ingram_app.core.errors import NotFound
from ingram_app.domain.access import Caller

AuthKind = Literal["none", "bearer", "oauth"]


@dataclass(frozen=True, slots=True)
class Entry:
    slug: str
    name: str
    description: str
    url: str
    auth_kind: AuthKind
    """What its operator asks for, as a rule."""
    registers: bool = False
    """Clients become such without anybody's help."""


CATALOG = {
    entry.slug: entry
    for entry in (
        Entry(
            "deepwiki",
            "DeepWiki",
            "Questions about public GitHub repositories.",
            "https://mcp.deepwiki.com/mcp",
            "none",
        ),
        Entry(
            "github", "GitHub", "Repositories, issues and pull requests.", "https://api.githubcopilot.com/mcp/", "oauth"
        ),
        Entry("hugging-face", "Hugging Face", "Models, data sets and papers.", "https://huggingface.co/mcp", "bearer"),
        Entry("linear", "Linear", "Issues, projects and cycles.", "https://mcp.linear.app/mcp", "oauth", True),
        Entry(
            "microsoft-learn",
            "Microsoft Learn",
            "Microsoft's own documentation.",
            "https://learn.microsoft.com/api/mcp",
            "none",
        ),
        Entry("notion", "Notion", "Pages and databases of a workspace.", "https://mcp.notion.com/mcp", "oauth", True),
        Entry(
            "sentry",
            "Sentry",
            "Errors of a product, and where they come from.",
            "https://mcp.sentry.dev/mcp",
            "oauth",
            True,
        ),
        Entry("stripe", "Stripe", "Customers, payments and invoices.", "https://mcp.stripe.com", "bearer"),
    )
}


def browse(caller: Caller) -> list[Entry]:
    """Return every entry, by name."""
    caller.require("agents:read")
    return sorted(CATALOG.values(), key=lambda entry: entry.name.lower())


def find(caller: Caller, slug: str) -> Entry:
    """Return one entry. Raises `NotFound`."""
    caller.require("agents:read")
    if slug not in CATALOG:
        raise NotFound(noun="catalog entry", id=slug[:80])
    return CATALOG[slug]
