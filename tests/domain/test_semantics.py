"""Semantics: what is told to a collector, and that what was said is not, whatever a span comes to hold."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ingram_app.domain import semantics
from ingram_app.domain.run_spans import Span
from ingram_app.domain.runs import Run, RunStatus
from ingram_app.domain.spans import SpanKind, SpanStatus
from ingram_app.gateways.otlp import Span as Outgoing

AT = datetime(2026, 1, 1, tzinfo=UTC)
RUN = Run(
    id="run_1", project_id="proj_1", smith_id="smt_1", thread_id="thr_1", agent_id="agt_1", agent_version=1, model="m",
    config={}, status=RunStatus.completed, finished_at=AT, input=[{"role": "user", "content": "my secret"}],
    output={"content": [{"type": "text", "text": "my answer"}, {"type": "image", "data": "AAAA"}]}, turn=1,
)  # fmt: skip


def told(include_content: bool, kind: SpanKind = SpanKind.retrieval, **attributes: Any) -> Outgoing:
    span = Span("0" * 16, "trc_1", None, kind, "step", SpanStatus.ok, AT, None, attributes=attributes)
    [one] = semantics.outgoing(RUN, [span], include_content=include_content)
    return one


@pytest.mark.parametrize("name", ["ingram.query", "gen_ai.tool.call.arguments", "error.message", "ingram.anything"])
def test_words_that_nobody_has_vouched_for_go_along_only_with_content(name: str) -> None:
    assert name not in told(False, **{name: "my secret"}).attributes
    assert told(True, **{name: "my secret"}).attributes[name] == "my secret"


def test_figures_and_names_go_along_always() -> None:
    names = {"ingram.hits": 3, "gen_ai.tool.name": "add", "ingram.refused": True}
    assert names.items() <= told(False, **names).attributes.items()


def test_messages_are_told_as_the_conventions_spell_them_and_files_by_their_kind() -> None:
    said = told(True).attributes
    assert said["gen_ai.input.messages"] == '[{"role":"user","parts":[{"type":"text","content":"my secret"}]}]'
    assert said["gen_ai.output.messages"] == (
        '[{"role":"assistant","parts":[{"type":"text","content":"my answer"},{"type":"image"}]}]'
    )
    assert "gen_ai.input.messages" not in told(False).attributes


def test_what_never_came_to_an_end_ends_with_its_run() -> None:
    assert told(False).ended_at == AT


def test_a_call_of_a_model_is_a_call_of_somebody_else() -> None:
    assert (told(False, SpanKind.model_call).is_call, told(False).is_call) == (True, False)
