"""OTLP: spans on their way to a collector, over HTTP in protobuf, as OpenTelemetry's protocol says (1.x).

The messages' classes come from OpenTelemetry. They take 6 MB and are loaded with the first span that is sent.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ingram_app.core.database import keepable
from ingram_app.gateways import posting
from ingram_app.gateways.posting import Answer

SECONDS = 10
CONTENT_TYPE = "application/x-protobuf"


@dataclass(frozen=True, slots=True)
class Span:
    """One span as the protocol knows it."""

    trace_id: str
    """32 hex digits."""
    id: str
    """16 hex digits."""
    parent_id: str | None
    name: str
    is_call: bool
    """Whether it is a call of somebody else's service."""
    started_at: datetime
    ended_at: datetime
    error: str | None = None
    """What went wrong, when something did."""
    attributes: Mapping[str, Any] = field(default_factory=dict)


async def send(url: str, headers: Mapping[str, str], resource: Mapping[str, str], spans: Sequence[Span]) -> Answer:
    """Post spans to a collector; an answer that rejects some of them has an `error` besides its good status."""
    body = await asyncio.to_thread(spelt, resource, spans)  # thousands of spans take a second
    wanted = {**headers, "content-type": CONTENT_TYPE}
    answer = await posting.post(url, headers=wanted, body=body, within_seconds=SECONDS)
    if answer.status is None or answer.status // 100 != 2 or answer.error:
        return answer
    return Answer(answer.status, _rejected(answer.beginning or b""), answer.beginning, answer.duration_ms)


def spelt(resource: Mapping[str, str], spans: Sequence[Span]) -> bytes:
    """Return an `ExportTraceServiceRequest`."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    _describe(group.resource.attributes, resource)
    scope = group.scope_spans.add()
    scope.scope.name = "ingram_cloud"
    for span in spans:
        _add(scope.spans.add(), span)
    body: bytes = request.SerializeToString()
    return body


def _add(message: Any, span: Span) -> None:
    message.trace_id, message.span_id = bytes.fromhex(span.trace_id), bytes.fromhex(span.id)
    message.parent_span_id = bytes.fromhex(span.parent_id or "")
    message.name = keepable(span.name)
    message.kind = message.SPAN_KIND_CLIENT if span.is_call else message.SPAN_KIND_INTERNAL
    message.start_time_unix_nano, message.end_time_unix_nano = _nano(span.started_at), _nano(span.ended_at)
    if span.error is not None:
        message.status.code, message.status.message = message.status.STATUS_CODE_ERROR, keepable(span.error)
    _describe(message.attributes, span.attributes)


def _describe(attributes: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        entry = attributes.add()
        entry.key = keepable(name)
        _set(entry.value, value)


def _set(message: Any, value: Any) -> None:
    match value:
        case bool():
            message.bool_value = value
        case int() if -(2**63) <= value < 2**63:
            message.int_value = value
        case int() | float():
            message.double_value = float(value)
        case list() | tuple():
            message.array_value.SetInParent()
            for item in value:
                _set(message.array_value.values.add(), item)
        case Mapping():
            message.kvlist_value.SetInParent()
            _describe(message.kvlist_value.values, value)
        case _:
            message.string_value = keepable(str(value))


def _nano(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000


def _rejected(answer: bytes) -> str | None:
    """Return what a collector says that it did not take. One that answers in words of its own has taken all."""
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    told = ExportTraceServiceResponse()
    try:
        told.ParseFromString(answer)
    except DecodeError:
        return None
    refused = told.partial_success
    if not refused.rejected_spans:
        return None
    return f"It rejected {refused.rejected_spans} spans: {refused.error_message}"
