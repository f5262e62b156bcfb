"""The toolbox of a run: what its model may call, and what is to happen with a call.

hosted    the platform does it: a deed of `engine/tools/`, or a call of an MCP server
client    the run pauses with `tool.required`, the caller's own program does it
gated     either of these, after the run has paused with `approval.required` and a person has said yes
refused   there is no such tool, or its arguments are not what it takes: the model is told, and nobody is asked

Another kind of tool is another function beside `_hosted` and `_of_caller`, named in `assemble`.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import ToolDefinition

from ingram_app.core import schemas
from ingram_app.core.clock import now
from ingram_app.core.database import keepable
from ingram_app.domain import hosted_tools, searches
from ingram_app.domain.designs import ApprovalRule, ClientTool
from ingram_app.domain.mcp_servers import McpServer
from ingram_app.domain.runs import Run
from ingram_app.domain.tool_calls import NOTICE, CallState, ToolCall, ToolKind, digest_of
from ingram_app.engine import servers
from ingram_app.engine.tools import DEEDS, Tool


@dataclass(frozen=True, slots=True)
class Toolbox:
    """All that one run's model may call."""

    run: Run
    tools: dict[str, Tool]
    policy: Sequence[ApprovalRule] = ()
    """Rules that gate tools by glob; the first that matches holds."""
    warnings: list[tuple[str, str]] = field(default_factory=list)
    unconnected: list[McpServer] = field(default_factory=list)
    """Servers whose tools wait for the smith's person to connect an account."""

    @property
    def definitions(self) -> list[ToolDefinition]:
        """What the model is told of its tools."""
        return [
            ToolDefinition(name=tool.name, description=tool.description, parameters_json_schema=tool.parameters)
            for tool in self.tools.values()
        ]

    def instructions(self, told: str | None) -> str | None:
        """Return the smith's instructions, with what is to be known about tools if it has any."""
        return "\n\n".join(filter(None, [told, NOTICE])) if self.tools else told

    def is_hosted(self, name: str) -> bool:
        """Tell whether the platform does what is called so."""
        return name in self.tools and self.tools[name].kind is ToolKind.hosted

    def placed(self, call: ToolCallPart, step: int, place: int) -> ToolCall:
        """Return the call as it is kept: begun, if it is to be made now; asked, if it waits; or refused."""
        tool = self.tools.get(call.tool_name)
        args, fault = _read(call.args)
        placed = ToolCall(
            project_id=self.run.project_id,
            smith_id=self.run.smith_id,
            run_id=self.run.id,
            step=step,
            place=place,
            tool_call_id=call.tool_call_id,
            tool=call.tool_name,
            kind=tool.kind if tool else ToolKind.unknown,
            args=args,
            args_digest=digest_of(args),
            gate=self._gate(call.tool_name, tool),
        )
        if tool is None:
            return refused(placed, f"There is no tool {call.tool_name}.")
        if fault := fault or _fault(tool, args):
            return refused(placed, f"The arguments are wrong, and {call.tool_name} was not called: {fault}.")
        if tool.deed is not None and placed.gate is None:
            placed.state, placed.begun_at = CallState.begun, now()
        return placed

    def _gate(self, name: str, tool: Tool | None) -> dict[str, Any] | None:
        """Return the design's own rule for a tool; else the one that its server or the server's policy brings."""
        names = [name, tool.of] if tool is not None and tool.of else [name]
        matching = (rule for rule in self.policy if any(fnmatchcase(one, rule.match) for one in names))
        rules = (rule.model_dump() for rule in matching)
        return next(rules, tool.gate if tool is not None else None)


async def assemble(run: Run) -> Toolbox:
    """Return the toolbox of a run, as its effective design says."""
    tools, warnings = {}, []
    enabled = run.config["enabled_hosted_tools"]
    search = _may_search(enabled) and await searches.reach(run.project_id) is not None
    for tool in [*_hosted(enabled, search=search), *_of_caller(run)]:
        if tool.name in tools:
            told = f"The built-in tool {tool.name} is left out: the agent's own of that name takes its place."
            warnings.append(("tool_name_taken", told))
        tools[tool.name] = tool
    for name in enabled:
        listed = hosted_tools.HOSTED_TOOLS.get(name)
        if listed is None or not listed.available(search=search):
            lacks = f"There is no hosted tool {name}" if listed is None else f"{name} has no search service to ask"
            warnings.append(("hosted_tool_unavailable", f"{lacks}; the smith goes on without."))
    brought = await servers.bring(run, tools.keys())
    for tool in brought.tools:
        if tool.name in tools:
            warnings.append(("tool_name_taken", f"Two tools would be called {tool.name}: one is left out."))
        tools.setdefault(tool.name, tool)
    policy = [ApprovalRule.model_construct(**rule) for rule in run.config["approval_policy"]]
    return Toolbox(run, tools, policy, [*warnings, *brought.warnings], brought.unconnected)


def refused(call: ToolCall, told: str) -> ToolCall:
    """Return the call as one that is not made, with what the model is told instead."""
    call.state, call.result, call.is_error = CallState.refused, told, True
    return call


def _may_search(enabled: Sequence[str]) -> bool:
    return any(name in enabled for name, tool in hosted_tools.HOSTED_TOOLS.items() if tool.searches_the_web)


def _hosted(enabled: Sequence[str], *, search: bool) -> Iterator[Tool]:
    for of, function in hosted_tools.functions(hosted_tools.available(enabled, search=search)):
        deed, repeatable = DEEDS[function.name], function.repeatable
        yield Tool(function.name, function.description, function.parameters, deed, repeatable, of=of)


def _of_caller(run: Run) -> Iterator[Tool]:
    for given in run.config["client_tools"]:
        tool = ClientTool.model_construct(**given)
        yield Tool(tool.name, tool.description, tool.parameters)


def _read(written: str | dict[str, Any] | None) -> tuple[Any, str | None]:
    """Return arguments as they are kept, and what is wrong with them as they stand."""
    try:
        args = json.loads(written or "{}") if isinstance(written, str | None) else written
        json.dumps(args, allow_nan=False)
    except (ValueError, RecursionError):
        return keepable(str(written)), "they are no JSON"
    if not isinstance(args, dict):
        return keepable(str(written)), "they are no JSON object"
    return keepable(args), None


def _fault(tool: Tool, args: Any) -> str | None:
    try:
        return schemas.fault(tool.parameters, args)
    except schemas.SchemaWrong as wrong:
        return f"the tool's own schema is none ({wrong})"
