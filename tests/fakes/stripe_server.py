"""A stand-in for Stripe: a real HTTP server on loopback that takes meter events and counts each identifier once.

It does what `moods` says, one after the other, and behaves once there are no more:

    fail       500                        busy       429
    hang       takes nothing, is silent   swallow    takes it, and is silent
    crash      takes it, and answers 500  cut        takes it, and drops the connection
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from urllib.parse import parse_qsl

from tests.fakes.http import Connection, Reply, Request

KEY = "sk_test_of_this_project"
Event = dict[str, str]


class StripeServer:
    def __init__(self) -> None:
        self.address = ""
        self.keys = {KEY}
        self.customers = {"cus_1", "cus_2"}
        self.moods: list[str] = []
        self.silent_to: set[str] = set()
        """Keys that no answer is given to."""
        self.heard: list[Event] = []
        """Every request, also those that came to nothing."""
        self.taken: dict[str, Event] = {}
        """What was counted, by identifier."""
        self.silent = 0

    def total(self, event_name: str, customer: str = "cus_1") -> Decimal:
        """Return what was counted for a customer by one meter."""
        theirs = [event for event in self.taken.values() if event["payload[stripe_customer_id]"] == customer]
        return sum((Decimal(e["payload[value]"]) for e in theirs if e["event_name"] == event_name), Decimal(0))

    def forget(self) -> None:
        """Remember no identifier any more, as after a day, but all that was counted."""
        self.taken = {f"{name} before": event for name, event in self.taken.items()}

    async def handle(self, request: Request, reply: Reply) -> None:
        assert (request.method, request.path) == ("POST", "/v1/billing/meter_events")
        event = dict(parse_qsl(request.body.decode(), strict_parsing=True))
        self.heard.append(event)
        mood = self.moods.pop(0) if self.moods else ""
        if mood == "fail":
            return reply.json({"error": {"type": "api_error", "message": "Something is wrong."}}, 500)
        if mood == "busy":
            return reply.json(
                {"error": {"type": "invalid_request_error", "code": "rate_limit", "message": "Slow."}}, 429
            )
        authorization = request.headers.get("authorization", "")
        if mood != "hang" and authorization.removeprefix("Bearer ") not in self.silent_to:
            answer = self._take(authorization, event)
            if mood not in ("swallow", "crash", "cut"):
                return reply.json(*answer)
        if mood == "crash":
            return reply.json({"error": {"message": "Something is wrong."}}, 500)
        if mood == "cut":
            return reply.cut()
        self.silent += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.silent -= 1

    def _take(self, authorization: str, event: Event) -> tuple[object, int]:
        if authorization.removeprefix("Bearer ") not in self.keys:
            return {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided."}}, 401
        if event["payload[stripe_customer_id]"] not in self.customers:
            message = f"No such customer: '{event['payload[stripe_customer_id]']}'"
            return {"error": {"type": "invalid_request_error", "code": "resource_missing", "message": message}}, 400
        if event["identifier"] in self.taken:
            message = f"An event already exists with identifier {event['identifier']}."
            return {"error": {"type": "invalid_request_error", "message": message}}, 400
        self.taken[event["identifier"]] = event
        return {"object": "billing.meter_event", "identifier": event["identifier"]}, 200


@asynccontextmanager
async def stripe() -> AsyncIterator[StripeServer]:
    """Serve on loopback."""
    server = StripeServer()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Connection(server.handle), "127.0.0.1", 0)
    server.address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
