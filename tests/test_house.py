"""The house keeps its own rules: sizes, sentences, places, and documents that say what is so."""

import ast
import importlib
import pkgutil
import re
import string
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

import ingram_app
from ingram_app.core.errors import IngramError
from ingram_app.core.settings import Settings

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "ingram_app").rglob("*.py"))
LINES, FUNCTION_LINES = 400, 40


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT / "ingram_app"))


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for file in MODULES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name_of(file)}:{node.lineno} {node.name}", node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def errors() -> list[type[IngramError]]:
    """Return every kind of error there is."""
    for found in pkgutil.walk_packages(ingram_app.__path__, "ingram_app."):
        if (
            not found.name.endswith("__main__")
            and ".console" not in found.name
            and found.name != "ingram_app.ingram_app"
        ):
            importlib.import_module(found.name)

    def below(kind: type[IngramError]) -> list[type[IngramError]]:
        return [one for child in kind.__subclasses__() for one in (child, *below(child))]

    return sorted({IngramError, *below(IngramError)}, key=lambda kind: (kind.__module__, kind.__name__))


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {name_of(file): len(file.read_text().splitlines()) for file in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > LINES} == {}
    assert median(lengths.values()) <= 110


def test_no_function_is_longer_than_40_lines() -> None:
    lengths = {name: length(node) for name, node in functions()}
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES} == {}
    assert median(lengths.values()) <= 10


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_a_module_opens_with_a_sentence(file: Path) -> None:
    said = ast.get_docstring(ast.parse(file.read_text()))
    assert said, "it has no docstring"
    assert re.match(r"[\w/<]", said)
    assert len(said.splitlines()[0]) > 10


def test_nobody_commits_inside_a_verb() -> None:
    committing = {name_of(file) for file in MODULES if re.search(r"\.(commit|rollback)\(", file.read_text())}
    assert committing == {"core/database.py", "core/connections.py"}


def test_every_handler_first_asks_who_sits_there() -> None:
    """But those of the frame, which finds that out, and of the page for people who can not have signed in yet."""
    exempt = {"console/session.py", "console/start.py", "console/welcome.py"}
    for name, node in functions():
        decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
        if name.partition(":")[0] not in exempt and any(one.startswith("rx.event") for one in decorators):
            first = node.body[1 if ast.get_docstring(node) else 0]
            assert re.match(r"(caller = )?await standing\(self\)$", ast.unparse(first)), name


def test_every_noun_has_its_test() -> None:
    tests = {file.stem for file in (ROOT / "tests").rglob("test_*.py")}
    nouns = [file.stem for file in (ROOT / "ingram_app" / "domain").glob("*.py") if file.stem != "__init__"]
    assert [noun for noun in nouns if f"test_{noun}" not in tests] == []


def test_domain_knows_its_annotations_at_once() -> None:
    for file in (ROOT / "ingram_app" / "domain").glob("*.py"):
        assert "from __future__ import annotations" not in file.read_text()


def test_no_import_hides_from_the_layers() -> None:
    for name, node in functions():
        if name.startswith("commands/"):  # a command is quick to answer because it loads what it needs when it needs it
            continue
        for inner in ast.walk(node):
            if isinstance(inner, ast.ImportFrom):
                assert not (inner.module or "").startswith("ingram_app"), name
    for file in MODULES:
        assert "TYPE_CHECKING" not in file.read_text()


def test_nothing_but_the_settings_reads_the_environment() -> None:
    """Commands hand an environment on to the processes that they start."""
    readers = {name_of(file) for file in MODULES if re.search(r"\bos\.(environ|getenv)\b", file.read_text())}
    assert {reader for reader in readers if not reader.startswith("commands/")} <= {"core/settings.py"}


def test_every_setting_is_in_the_example_and_the_other_way_round() -> None:
    told = set(re.findall(r"^#?(IC_[A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert told == {f"IC_{name.upper()}" for name in Settings.model_fields}


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    assert {file.stem for file in MODULES} & {"utils", "helpers", "constants", "common", "misc"} == set()


def test_nothing_is_left_to_do_in_the_code() -> None:
    for file in [*MODULES, *(ROOT / "tests").rglob("*.py")]:
        if file != Path(__file__):
            assert not re.search(r"\b(TODO|FIXME|XXX)\b|# noqa(?!: [A-Z]+\d+)", file.read_text()), file


@pytest.mark.parametrize("kind", errors(), ids=lambda kind: kind.__name__)
def test_an_error_is_a_sentence_with_its_facts(kind: type[IngramError]) -> None:
    assert kind.__doc__
    sentence = " ".join(kind.__doc__.split())
    facts = [name for _, name, _, _ in string.Formatter().parse(sentence) if name]
    assert all(name.isidentifier() for name in facts), facts
    shown = kind(**{name: "…" for name in facts}).sentence
    assert "{" not in shown
    assert shown[-1] in ".?!…)", shown
    assert re.fullmatch(r"[a-z][a-z_]*", kind.code)


def test_an_error_s_status_has_one_type() -> None:
    types = {
        400: "invalid_request_error", 401: "authentication_error", 402: "invalid_request_error",
        403: "permission_error", 404: "invalid_request_error", 405: "invalid_request_error",
        409: "invalid_request_error", 413: "invalid_request_error", 422: "invalid_request_error",
        429: "rate_limit_error", 500: "api_error", 502: "api_error", 503: "api_error",
    }  # fmt: skip
    for kind in errors():
        assert types[kind.status] == kind.kind, kind
        assert (kind.retry_after_seconds is not None) or kind.status not in (429, 503), kind
