"""Designs: what an assistant is made of. An agent's draft and versions hold one; a smith overrides fields of it."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import from_json, to_json

from ingram_app.core import schemas
from ingram_app.core.errors import Invalid

Name = Annotated[str, Field(min_length=1, max_length=200)]
ModelId = Annotated[str, Field(min_length=1, max_length=200, examples=["default", "gpt-5.2", "test/echo"])]


NAMED = re.compile(r"\{\{[ \t]*([A-Za-z_][A-Za-z0-9_]{0,63})[ \t]*\}\}")
"""A variable's name where its value is to stand."""


def _of_an_object(schema: dict[str, Any]) -> dict[str, Any]:
    try:
        schemas.check(schema)
    except schemas.SchemaWrong as wrong:
        raise ValueError(f"it is no JSON Schema: {wrong}") from None
    if schema.get("type") != "object":
        raise ValueError('it must be the JSON Schema of an object: {"type": "object", …}')
    return schema


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Skill(Part):
    skill_id: Name
    version: int | None = None


class Variable(Part):
    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]
    default: Annotated[str, Field(max_length=10_000)] | None = None
    """Plain text: a `{{ name }}` in it would not be filled in."""
    description: str | None = None
    required: bool = False

    @field_validator("default")
    @classmethod
    def _names_nothing(cls, default: str | None) -> str | None:
        if default is not None and NAMED.search(default):
            raise ValueError("a default is plain text, it can not hold {{ … }}")
        return default


class ClientTool(Part):
    """A tool that the caller executes."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str = ""
    parameters: Annotated[dict[str, Any], AfterValidator(_of_an_object)] = Field(
        default_factory=lambda: {"type": "object", "properties": {}}
    )
    """The JSON Schema of an object."""


class ApprovalRule(Part):
    match: Name
    """A glob over tool names, and over those of hosted tools for all of their functions."""
    require: Literal["approval"] = "approval"
    approver: Literal["operator", "smith"] = "operator"
    expires_in_seconds: Annotated[int, Field(gt=0)] | None = None
    four_eyes: bool = False


class ModelSettings(Part):
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    reasoning_effort: Literal["minimal", "low", "medium", "high"] | None = None


class Design(Part):
    """Every field an assistant has. `null` means that the platform's own default holds."""

    instructions: Annotated[str, Field(max_length=100_000)] | None = None
    model: ModelId | None = None
    enabled_hosted_tools: list[Name] = []
    vector_store_ids: list[Name] = []
    mcp_servers: list[Name] | None = None
    """`null`: all that the project has registered."""
    skills: list[Skill] = []
    """In order of priority."""
    auto_memory: bool | None = None
    memory_consolidation: bool | None = None
    variables: list[Variable] = []
    ui_resources: list[dict[str, Any]] = []
    client_tools: list[ClientTool] = []
    approval_policy: list[ApprovalRule] = []
    fallback_models: list[ModelId] = []
    cheaper_model: ModelId | None = None
    model_settings: ModelSettings = ModelSettings()

    @field_validator("variables", "client_tools")
    @classmethod
    def _names_are_unique(cls, named: list[Variable] | list[ClientTool]) -> list[Variable] | list[ClientTool]:
        names = [one.name for one in named]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"the name {twice} is there twice")
        return named


FIELDS = tuple(Design.model_fields)
NATURE = {"model": "default", "auto_memory": True, "memory_consolidation": False}
"""What a field is when neither agent nor smith says anything."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The effective design that a run was made with, and the agent's version that it came from."""

    config: dict[str, Any]
    version: int | None


class InvalidDesign(Invalid):
    """The field {field} can not be that: {why}."""


def check(changes: dict[str, Any]) -> None:
    """Raises `InvalidDesign` for the first field whose value it can not have; `null` is always possible."""
    try:
        Design.model_validate({field: value for field, value in changes.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidDesign(field=first["loc"][0], why=first["msg"], param=".".join(map(str, first["loc"]))) from None


def plain(design: Design) -> dict[str, Any]:
    """Return the design as it is stored and shown."""
    return design.model_dump(mode="json")


_BLANK = to_json(Design())


def changed(stored: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return the stored design with `changes` to some of its fields; `null` puts a field back to its default.

    Raises `InvalidDesign`.
    """
    check(changes)
    blank: dict[str, Any] = from_json(_BLANK)
    return blank | stored | {field: blank[field] if value is None else value for field, value in changes.items()}


def effective(design: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Return what a smith really runs with: its overrides on its agent's design on the platform's defaults."""
    whole = from_json(_BLANK) | design | overrides
    return {field: NATURE.get(field) if value is None else value for field, value in whole.items()}
