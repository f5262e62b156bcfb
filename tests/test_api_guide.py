"""docs/api.md says what is so. `python -m tests.test_api_guide` writes its tables anew."""

import re
import string
from dataclasses import fields
from pathlib import Path
from typing import get_args

from ingram_app.api import build
from ingram_app.core.errors import IngramError
from ingram_app.core.settings import SettingsWrong
from ingram_app.domain.access import PERMISSIONS
from ingram_app.domain.frames import DUPLICATE, AnyFrame
from ingram_app.domain.hosted_tools import HOSTED_TOOLS
from tests.test_house import errors

GUIDE = Path(__file__).parents[1] / "docs" / "api.md"
ELSEWHERE = (
    "ingram_app.commands",
    "ingram_app.core.migrations",
    "ingram_app.core.cluster",
    "ingram_app.console",
    "ingram_app.api.exports",
)
"""Whose errors are never an answer of the API."""
AT_WORK = ("ingram_app.engine", "ingram_app.gateways.providers.failures", "ingram_app.gateways.embeddings")
"""Whose errors have no status of their own: they happen after a run was taken in, and are told on it."""


def frames_table() -> list[str]:
    rows = [
        f"| `{kind.name}` | {', '.join(f'`{field.name}`' for field in fields(kind))} |" for kind in get_args(AnyFrame)
    ]
    return ["| frame | data |", "|---|---|", *rows, f"| `{DUPLICATE}` | `status` |"]


def hosted_table() -> list[str]:
    rows = [
        f"| `{tool.name}` | {', '.join(f'`{function.name}`' for function in tool.functions)} |"
        for tool in HOSTED_TOOLS.values()
    ]
    return ["| enabled as | called as |", "|---|---|", *rows]


def errors_table() -> list[str]:
    told = {(status(kind), kind.code, sentence(kind)) for kind in errors() if is_answer(kind)}
    return [
        "| status | code | message |",
        "|---|---|---|",
        *(f"| {s} | `{code}` | {m} |" for s, code, m in sorted(told)),
    ]


def routes_table() -> list[str]:
    rows = [
        f"| `{method.upper()} {path}` | {route['description'].splitlines()[0]} |"
        for path, methods in build().openapi()["paths"].items()
        for method, route in methods.items()
    ]
    return ["| route | what it does |", "|---|---|", *rows]


def is_answer(kind: type[IngramError]) -> bool:
    is_parent = kind.__module__ == "ingram_app.core.errors" and kind.__name__ not in (
        "IngramError",
        "Unauthenticated",
        "NotFound",
    )
    return not is_parent and not kind.__module__.startswith(ELSEWHERE) and kind is not SettingsWrong


def status(kind: type[IngramError]) -> str:
    return "–" if kind.__module__.startswith(AT_WORK) else str(kind.status)


def sentence(kind: type[IngramError]) -> str:
    text = " ".join((kind.__doc__ or "").split())
    facts = {name: "…" for _, name, _, _ in string.Formatter().parse(text) if name}
    return text.format(**facts).replace("|", "\\|")


TABLES = {"frames": frames_table, "hosted": hosted_table, "errors": errors_table, "routes": routes_table}


def written(guide: str) -> str:
    for name, table in TABLES.items():
        body = "\n".join(table())
        guide = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda m, body=body: f"{m[1]}{body}\n{m[2]}",
            guide,
            flags=re.S,
        )  # type: ignore[misc]
    return guide


def test_the_tables_are_those_of_the_code() -> None:
    guide = GUIDE.read_text()
    assert all(f"<!-- {name} -->" in guide for name in TABLES)
    assert written(guide) == guide, "run: python -m tests.test_api_guide"


def test_every_permission_is_told() -> None:
    told = GUIDE.read_text().split("Permissions: ")[1].split("\n\n")[0]
    assert all(permission.partition(":")[0] in told for permission in PERMISSIONS)


if __name__ == "__main__":
    GUIDE.write_text(written(GUIDE.read_text()))
