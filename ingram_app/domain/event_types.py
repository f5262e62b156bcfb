"""Event types: all that can be told on a project's feed, a class each.

To add one: write its class and name it in `AnyEvent`. The feed, its catalogue and webhooks follow.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, get_args


@dataclass(frozen=True, slots=True)
class RunPaused:
    """A run waits for somebody: a person who approves, or a program that answers for a tool."""

    name: ClassVar[str] = "run.paused"
    run_id: str
    thread_id: str
    reason: str
    """`approval` or `tool`."""


@dataclass(frozen=True, slots=True)
class RunCompleted:
    """A run has ended with an answer."""

    name: ClassVar[str] = "run.completed"
    run_id: str
    thread_id: str
    agent_id: str
    agent_version: int | None
    status: str
    """`completed`."""
    stop_reason: str | None
    """Why the model stopped: `stop`, or `length` when it was cut short."""
    usage: dict[str, Any] | None
    """Tokens and, in US dollars, cost, as the run shows them; null when no model was called."""


@dataclass(frozen=True, slots=True)
class RunFailed:
    """A run has ended without an answer."""

    name: ClassVar[str] = "run.failed"
    run_id: str
    thread_id: str
    agent_id: str
    agent_version: int | None
    status: str
    """`failed`."""
    error: dict[str, str] | None
    """`code`, for programs, and `message`, for people."""
    usage: dict[str, Any] | None
    """As of `run.completed`."""


@dataclass(frozen=True, slots=True)
class RunCancelled:
    """A run has been stopped before it came to its end."""

    name: ClassVar[str] = "run.cancelled"
    run_id: str
    thread_id: str
    agent_id: str
    agent_version: int | None
    status: str
    """`cancelled`."""
    reason: str | None
    """What was said by who cancelled it."""
    usage: dict[str, Any] | None
    """As of `run.completed`."""


@dataclass(frozen=True, slots=True)
class ToolExecuting:
    """A hosted tool, or one of an MCP server, is about to be used. Of a client tool nothing is told here."""

    name: ClassVar[str] = "tool.executing"
    run_id: str
    tool: str
    tool_call_id: str


@dataclass(frozen=True, slots=True)
class ToolCompleted:
    """A hosted tool, or one of an MCP server, has been used, or nobody knows whether it was; or a call that waited for
    an approval is not made. Of a client tool's result, and of a call that is wrong in itself, nothing is told here."""

    name: ClassVar[str] = "tool.completed"
    run_id: str
    tool: str
    tool_call_id: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class ApprovalRequired:
    """A tool call waits for a person to approve it; the approval shows its arguments."""

    name: ClassVar[str] = "approval.required"
    approval_id: str
    run_id: str
    tool: str
    tool_call_id: str


@dataclass(frozen=True, slots=True)
class ApprovalResolved:
    """An approval was decided, or has expired."""

    name: ClassVar[str] = "approval.resolved"
    approval_id: str
    run_id: str
    tool: str
    tool_call_id: str
    status: str
    """`approved`, `rejected` or `expired`."""
    reason: str | None


@dataclass(frozen=True, slots=True)
class BudgetThreshold:
    """What is spent of a budget has reached one of its thresholds: told once in a period."""

    name: ClassVar[str] = "budget.threshold"
    budget_id: str
    scope: str
    """`tenant`, `agent`, `smith` or `customer`."""
    scope_id: str | None
    """Null when it is the whole project's."""
    threshold: int
    """In percent of the limit."""
    action: str
    """What happens at 100 percent: `warn`, `degrade` or `block`."""
    period: str
    """`daily`, `weekly` or `monthly`."""
    period_key: str
    """Which one: 2026-11-24, 2026-W48 or 2026-11."""
    limit: float
    """In US dollars."""
    spent: float
    """In US dollars."""


@dataclass(frozen=True, slots=True)
class AgentPublished:
    """A version of an agent has been made from its draft."""

    name: ClassVar[str] = "agent.published"
    agent_id: str
    version: int
    note: str | None


@dataclass(frozen=True, slots=True)
class AgentRolledOut:
    """A version of an agent runs from now on, for all of its smiths or for a share of them."""

    name: ClassVar[str] = "agent.rolled_out"
    agent_id: str
    version: int
    percent: int


@dataclass(frozen=True, slots=True)
class AgentRolloutHalted:
    """A guarded rollout went back to 0 percent by itself; `figures` say why."""

    name: ClassVar[str] = "agent.rollout_halted"
    agent_id: str
    version: int
    figures: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SmithCreated:
    """There is a new smith."""

    name: ClassVar[str] = "smith.created"
    external_id: str | None
    agent_id: str


@dataclass(frozen=True, slots=True)
class SmithClaimed:
    """Someone who was anonymous has signed in; `from_smith_id` is the anonymous smith, if that was another one."""

    name: ClassVar[str] = "smith.claimed"
    external_id: str
    from_smith_id: str | None


@dataclass(frozen=True, slots=True)
class SmithArchived:
    """A smith answers no more, and its external id is free again."""

    name: ClassVar[str] = "smith.archived"
    external_id: str | None


@dataclass(frozen=True, slots=True)
class MemoryUpdated:
    """What a smith keeps about its person has changed."""

    name: ClassVar[str] = "memory.updated"
    what: str
    """`document`, or `fact`."""
    memory_id: str | None
    """The fact."""
    deed: str
    """`written`, `changed`, `replaced` by a newer fact, `restored`, or `deleted`."""


@dataclass(frozen=True, slots=True)
class SmithErased:
    """All that was held about a person is gone."""

    name: ClassVar[str] = "smith.erased"
    receipt_id: str


@dataclass(frozen=True, slots=True)
class ConnectionCreated:
    """A smith's person has consented, or tokens were brought."""

    name: ClassVar[str] = "connection.created"
    connection_id: str
    provider: str
    scopes: list[str]


@dataclass(frozen=True, slots=True)
class ConnectionRefreshed:
    """The service has given fresh tokens."""

    name: ClassVar[str] = "connection.refreshed"
    connection_id: str
    provider: str


@dataclass(frozen=True, slots=True)
class ConnectionBroken:
    """The service does not refresh it any more: the person has to connect again."""

    name: ClassVar[str] = "connection.broken"
    connection_id: str
    provider: str
    reason: str


@dataclass(frozen=True, slots=True)
class ConnectionRecovered:
    """One that was broken or expired works again."""

    name: ClassVar[str] = "connection.recovered"
    connection_id: str
    provider: str


@dataclass(frozen=True, slots=True)
class ConnectionDeleted:
    """It was taken back, at the service too where that offers it, and its tokens are gone."""

    name: ClassVar[str] = "connection.deleted"
    connection_id: str
    provider: str


@dataclass(frozen=True, slots=True)
class ConnectionRequired:
    """A run goes on without the tools of a server. Its person connects at the address, within ten minutes."""

    name: ClassVar[str] = "connection.required"
    run_id: str
    provider: str
    mcp_server: str
    authorize_url: str


@dataclass(frozen=True, slots=True)
class WebhookTest:
    """Somebody wants to see whether a webhook is reached; it is sent to that one, whatever it asks for."""

    name: ClassVar[str] = "webhook.test"
    webhook_id: str


@dataclass(frozen=True, slots=True)
class WebhookDisabled:
    """The platform has switched a webhook off, because nothing that was sent there arrives any more."""

    name: ClassVar[str] = "webhook.disabled"
    webhook_id: str
    url: str
    reason: str


@dataclass(frozen=True, slots=True)
class TraceExportDisabled:
    """The platform has stopped exporting traces, because for days the collector has taken none."""

    name: ClassVar[str] = "trace_export.disabled"
    endpoint: str
    reason: str


@dataclass(frozen=True, slots=True)
class EmailSendFailed:
    """The platform has given up an e-mail to owners, or some of them could not be reached."""

    name: ClassVar[str] = "email.send_failed"
    mail_id: str
    subject: str
    unreached: list[str]
    """Addresses."""
    reason: str


AnyEvent = (
    RunPaused
    | RunCompleted
    | RunFailed
    | RunCancelled
    | ToolExecuting
    | ToolCompleted
    | ApprovalRequired
    | ApprovalResolved
    | BudgetThreshold
    | AgentPublished
    | AgentRolledOut
    | AgentRolloutHalted
    | SmithCreated
    | SmithClaimed
    | SmithArchived
    | SmithErased
    | MemoryUpdated
    | ConnectionCreated
    | ConnectionRefreshed
    | ConnectionBroken
    | ConnectionRecovered
    | ConnectionDeleted
    | ConnectionRequired
    | WebhookTest
    | WebhookDisabled
    | TraceExportDisabled
    | EmailSendFailed
)
TYPES = tuple(kind.name for kind in get_args(AnyEvent))
FAMILIES = tuple(dict.fromkeys(name.partition(".")[0] for name in TYPES))
