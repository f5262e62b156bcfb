"""A collector of traces: a real HTTP server on loopback that reads OTLP with OpenTelemetry's own classes.

/v1/traces keeps what comes; `answers` says with which status, `hangs` that none is given, `rejects` that some spans
are not wanted.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.fakes.http import Reply, Request, serving


@dataclass(frozen=True)
class Heard:
    """One span as it came, with its attributes and those of its resource read."""

    span: Any
    attributes: dict[str, Any]
    resource: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.span.span_id.hex())


class Collector:
    def __init__(self) -> None:
        self.address = ""
        self.requests: list[Request] = []
        self.batches: list[list[Heard]] = []
        """Those that were answered well."""
        self.answers = 200
        self.unwanted = ""
        """A run of which nothing is wanted: 400."""
        self.rejects = 0
        self.hangs = False
        self.redirects_to = ""
        self.hanging = 0

    @property
    def spans(self) -> list[Heard]:
        return [span for batch in self.batches for span in batch]

    def of_run(self, run_id: str) -> list[Heard]:
        return [span for span in self.spans if span.attributes["ingram.run.id"] == run_id]

    async def handle(self, request: Request, reply: Reply) -> None:
        self.requests.append(request)
        if self.hangs:
            self.hanging += 1
            try:
                await asyncio.Event().wait()
            finally:
                self.hanging -= 1
        spans = read(request.body)
        if self.redirects_to:
            reply.whole(status=307, location=self.redirects_to)
        elif self.unwanted and any(span.attributes["ingram.run.id"] == self.unwanted for span in spans):
            reply.json({"message": "never"}, 400)
        elif self.answers != 200:
            reply.json({"message": "not now"}, self.answers)
        else:
            self.batches.append(spans)
            told = ExportTraceServiceResponse()
            if self.rejects:
                told.partial_success.rejected_spans = self.rejects
                told.partial_success.error_message = "too old"
            reply.whole(told.SerializeToString(), content_type="application/x-protobuf")


def read(body: bytes) -> list[Heard]:
    """Return the spans of an `ExportTraceServiceRequest`."""
    request = ExportTraceServiceRequest.FromString(body)
    return [
        Heard(span, _values(span.attributes), _values(group.resource.attributes))
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: _value(one.value) for one in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return _values(value.kvlist_value.values)
    return getattr(value, kind)


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """Serve on loopback."""
    collector = Collector()
    async with serving(collector.handle) as address:
        collector.address = address
        yield collector
