"""OTLP: what is spelt is what OpenTelemetry's own classes read."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ingram_app.gateways import otlp
from tests.fakes.collector import read

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def sent(**attributes: Any) -> otlp.Span:
    return otlp.Span("0" * 31 + "1", "0" * 15 + "2", None, "step", False, AT, AT, attributes=attributes)


@pytest.mark.parametrize("value", ["words", True, 0, -5, 1.5, ["a", 1, [True]], {"a": {"b": ["c"]}}, [], {}])
def test_every_value_arrives_as_it_was(value: Any) -> None:
    [heard] = read(otlp.spelt({"service.name": "us"}, [sent(x=value)]))
    assert (heard.attributes, heard.resource) == ({"x": value}, {"service.name": "us"})


@pytest.mark.parametrize(("value", "told"), [(2**70, float(2**70)), (None, "None"), ("\ud800", "\ufffd")])
def test_what_the_protocol_can_not_say_is_said_as_well_as_it_can(value: Any, told: Any) -> None:
    [heard] = read(otlp.spelt({}, [sent(x=value)]))
    assert heard.attributes == {"x": told}


def test_a_moment_is_told_to_the_microsecond() -> None:
    [heard] = read(otlp.spelt({}, [sent()]))
    assert heard.span.start_time_unix_nano == 1767323045_678901_000
