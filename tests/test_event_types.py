"""docs/events.md says what is told. `python -m tests.test_event_types` writes its catalogue anew."""

import ast
import inspect
import re
from pathlib import Path
from typing import get_args

from ingram_app.domain.event_types import TYPES, AnyEvent

GUIDE = Path(__file__).parents[1] / "docs" / "events.md"
PLACE = re.compile(r"(<!-- catalogue -->\n).*?(<!-- /catalogue -->)", re.DOTALL)


def entry(kind: type) -> list[str]:
    """Return what the catalogue says of one type: its docstring, its fields with their types and theirs."""
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)
    said = ast.get_docstring(body)
    assert said, f"{kind.__name__} does not say what it tells of"
    rows = []
    for field, after in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and field.target.id != "name":
            about = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            shown = ast.unparse(field.annotation).replace("None", "null").replace(" | ", " or ")
            rows.append(f"| `{field.target.id}` | {_for_readers(shown)} | {' '.join(str(about).split())} |")
    return [f"### `{kind.name}`", "", " ".join(said.split()), "", "| data | type | |", "|---|---|---|", *rows, ""]  # type: ignore[attr-defined]


def _for_readers(annotation: str) -> str:
    words = {"str": "string", "int": "integer", "bool": "boolean", "float": "number"}
    plain = re.sub(r"\bdict\[[^]]*\]", "object", re.sub(r"\blist\[(\w+)[^]]*\]+", r"list of \1", annotation))
    return re.sub(r"\b\w+\b", lambda word: words.get(word[0], word[0]), plain)


def written(guide: str) -> str:
    body = "\n".join(line for kind in get_args(AnyEvent) for line in entry(kind))
    return PLACE.sub(lambda place: f"{place[1]}{body}\n{place[2]}", guide)


def test_the_catalogue_is_that_of_the_code() -> None:
    guide = GUIDE.read_text()
    assert written(guide) == guide, "run: python -m tests.test_event_types"


def test_every_type_has_an_entry() -> None:
    assert re.findall(r"^### `(.+)`$", GUIDE.read_text(), re.MULTILINE) == list(TYPES)


if __name__ == "__main__":
    GUIDE.write_text(written(GUIDE.read_text()))
