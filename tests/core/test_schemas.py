"""Schemas: the customer's own, so hostile ones too."""

import time
from typing import Any

import pytest

from ingram_app.core import schemas
from ingram_app.core.schemas import SchemaWrong

CITY = {"type": "object", "properties": {"city": {"type": "string", "minLength": 2}}, "required": ["city"]}


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"city": "Rome"}, None),
        ({}, '"city" is a required property'),
        ({"city": 3}, 'city: 3 is not of type "string"'),
        ([], '[] is not of type "object"'),
    ],
)
def test_a_fault_is_told_with_its_place(value: Any, fault: str | None) -> None:
    assert schemas.fault(CITY, value) == fault


@pytest.mark.parametrize(
    "schema",
    [
        {"type": 3},
        {"$ref": "http://127.0.0.1:9/schema"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/nowhere"},
        {"pattern": "("},
    ],
)
def test_what_is_no_schema_or_leads_elsewhere_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaWrong):
        schemas.check(schema)


def test_a_pattern_that_would_never_end_ends() -> None:
    began = time.perf_counter()
    assert schemas.fault({"type": "string", "pattern": r"^(?=x?)(a+)+$"}, "a" * 5000 + "!")
    assert time.perf_counter() - began < 0.5


def test_a_value_that_is_nested_without_end_is_at_fault() -> None:
    endless: dict[str, Any] = {}
    for _ in range(100_000):
        endless = {"child": endless}
    assert schemas.fault({"properties": {"child": {"$ref": "#"}}}, endless) == "it is nested deeper than 64 levels"


def test_a_schema_may_speak_of_itself() -> None:
    tree = {"type": "object", "properties": {"child": {"$ref": "#"}}, "additionalProperties": False}
    assert schemas.fault(tree, {"child": {"child": {}}}) is None
    assert schemas.fault(tree, {"child": {"leaf": {}}})
