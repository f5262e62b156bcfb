"""/v1/smiths: one end user's private assistant each."""

from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from ingram_app.api.deps import Caller, InTransaction, Place, Route
from ingram_app.api.shapes import In, Out, PageOut
from ingram_app.core.clock import now
from ingram_app.domain import designs, smiths
from ingram_app.domain.designs import ApprovalRule, ClientTool, ModelId, ModelSettings, Name, Skill, Variable
from ingram_app.domain.smiths import Clone

router = APIRouter(prefix="/smiths", tags=["smiths"], route_class=Route)


class SmithFields(In):
    """Profile and overrides. A config field that is null or left out is inherited from the agent."""

    display_name: str | None = Field(default=None, max_length=200)
    locale: str | None = Field(default=None, max_length=35, examples=["de-AT"])
    timezone: str | None = Field(default=None, max_length=64, examples=["Europe/Vienna"])
    customer_id: str | None = Field(default=None, max_length=64)
    metadata: dict[str, Any] | None = None
    agent_id: str | None = None
    pin: int | None = Field(default=None, ge=1)
    model: ModelId | None = None
    instructions: str | None = Field(default=None, max_length=100_000)
    enabled_hosted_tools: list[Name] | None = None
    vector_store_ids: list[Name] | None = None
    mcp_servers: list[Name] | None = None
    skills: list[Skill] | None = None
    auto_memory: bool | None = None
    memory_consolidation: bool | None = None
    client_tools: list[ClientTool] | None = None
    approval_policy: list[ApprovalRule] | None = None
    fallback_models: list[ModelId] | None = None
    cheaper_model: ModelId | None = None
    model_settings: ModelSettings | None = None
    variables: list[Variable] | None = None
    ui_resources: list[dict[str, Any]] | None = None


class NewSmith(SmithFields):
    external_id: str | None = Field(default=None, min_length=1, max_length=200, examples=["user-4711", "anon:6f1c"])


class SmithOut(Out):
    id: str
    external_id: str | None
    display_name: str | None
    locale: str | None
    timezone: str | None
    customer_id: str | None
    metadata: dict[str, Any]
    model: str
    instructions: str | None
    rendered_instructions: str | None
    enabled_hosted_tools: list[str]
    vector_store_ids: list[str]
    mcp_servers: list[str] | None
    skills: list[dict[str, Any]]
    auto_memory: bool
    memory_consolidation: bool
    client_tools: list[dict[str, Any]]
    approval_policy: list[dict[str, Any]]
    fallback_models: list[str]
    cheaper_model: str | None
    model_settings: dict[str, Any]
    variables: list[dict[str, Any]]
    ui_resources: list[dict[str, Any]]
    config_source: Literal["agent", "override", "custom"]
    agent_id: str
    agent_version: int | None
    pin: int | None
    override_keys: list[str]
    inherited: dict[str, Any] | None
    created_at: datetime

    @classmethod
    def of(cls, clone: Clone) -> "SmithOut":
        smith = clone.smith
        profile = smith.model_dump(include=set(cls.model_fields))
        config = {field: value for field, value in clone.config.items() if field in cls.model_fields}
        return cls(
            **profile,
            **config,
            metadata=smith.about,
            rendered_instructions=clone.rendered(now()).text,
            config_source=clone.source,
            agent_version=clone.version,
            override_keys=sorted(smith.overrides),
            inherited=designs.effective(clone.inherited, {}) if clone.version else None,
        )


@router.post("", status_code=201, response_model=SmithOut, responses={200: {"model": SmithOut}})
async def create_smith(body: NewSmith, caller: Caller, session: InTransaction, response: Response) -> SmithOut:
    """Make a smith, 201; one of the same external id and agent that lives is answered unchanged, 200."""
    clone, is_new = await smiths.create(session, caller, body.model_dump(exclude_unset=True))
    response.status_code = 201 if is_new else 200
    return SmithOut.of(clone)


@router.get("", response_model=PageOut[SmithOut])
async def list_smiths(
    caller: Caller,
    session: InTransaction,
    place: Place,
    external_id: str | None = None,
    external_id_prefix: str | None = None,
    customer_id: str | None = None,
    agent_id: str | None = None,
) -> PageOut[SmithOut]:
    """List the project's live smiths, newest first. `external_id_prefix=anon:` finds logged-out visitors."""
    found = await smiths.browse(
        session,
        caller,
        place,
        external_id=external_id,
        external_id_prefix=external_id_prefix,
        customer_id=customer_id,
        agent_id=agent_id,
    )
    data = [SmithOut.of(clone) for clone in found.data]
    return PageOut(data=data, next_cursor=found.next_cursor, has_more=found.has_more)


@router.get("/{smith_id}", response_model=SmithOut)
async def get_smith(smith_id: str, caller: Caller, session: InTransaction) -> SmithOut:
    """Show one smith with its effective config."""
    return SmithOut.of(await smiths.find(session, caller, smith_id))


@router.patch("/{smith_id}", response_model=SmithOut)
async def change_smith(smith_id: str, body: SmithFields, caller: Caller, session: InTransaction) -> SmithOut:
    """Change profile or config. Null on a config field takes its override back; `customer_id: ""` unassigns."""
    return SmithOut.of(await smiths.change(session, caller, smith_id, body.model_dump(exclude_unset=True)))


@router.delete("/{smith_id}", status_code=204)
async def delete_smith(smith_id: str, caller: Caller, session: InTransaction) -> None:
    """Archive a smith and free its external id; a smith made with it later is a new one. Its tokens end."""
    await smiths.archive(session, caller, smith_id)
