"""What a run's model was told, when somebody asks for it."""

import json
from dataclasses import dataclass

import reflex as rx

from ingram_app.console.address import is_at, named
from ingram_app.console.looks import button
from ingram_app.console.session import standing
from ingram_app.core.database import transaction
from ingram_app.domain import prompts
from ingram_app.domain.prompts import Prompt
from ingram_app.domain.speech import Message

_MOST = 200
_LENGTH = 4000
"""Characters of one message that are shown; the API's threads have the rest."""


@dataclass
class Line:
    role: str
    text: str


class Told(rx.State):
    run_id: str = ""
    """Whose they are."""
    lines: list[Line] = []
    left_out: int = 0

    @rx.event
    async def show(self):
        """Show all of it, the newest messages when there are too many."""
        caller = await standing(self)
        wanted = named(self, "runs")
        async with transaction(caller.tenancy) as session:
            prompt = await prompts.of_run(session, caller, wanted)
        lines = lines_of(prompt)
        self.run_id, self.lines, self.left_out = wanted, lines[-_MOST:], max(len(lines) - _MOST, 0)

    @rx.event
    async def hide(self):
        """Put it away."""
        await standing(self)
        self.reset()


def lines_of(prompt: Prompt) -> list[Line]:
    """Return a prompt as it is read from the top."""
    first = [Line("instructions", prompt.instructions)] if prompt.instructions else []
    if prompt.summary:
        first.append(Line("summary", prompt.summary))
    earlier, own = [[Line(message.role, _spelt(message)) for message in said] for said in (prompt.earlier, prompt.own)]
    notes = [Line("memory", prompt.notes)] if prompt.notes else []
    return [Line(line.role, line.text[:_LENGTH]) for line in [*first, *earlier, *notes, *own] if line.text]


def _spelt(message: Message) -> str:
    return "\n".join(_part(part) for part in message.content)


def _part(part: dict[str, object]) -> str:
    if "text" in part:
        return str(part["text"])
    if part["type"] == "tool_call":
        return f"calls {part['tool']} {_plain(part['args'])}"
    if part["type"] == "tool_result":
        return f"{part['tool']} {'failed' if part['is_error'] else 'answered'}: {_plain(part['result'])}"
    told = {key: value for key, value in part.items() if key != "type"}
    return f"{part['type']}: {_plain(told)}"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def shown() -> rx.Component:
    """The messages, or the button that shows them."""
    return rx.cond(
        (Told.lines.length() > 0) & is_at(Told.run_id),
        rx.el.section(
            rx.el.h3("What the model was told"),
            rx.cond(Told.left_out > 0, rx.el.p(f"{Told.left_out} messages before these.", class_name="muted small")),
            rx.el.ol(
                rx.foreach(
                    Told.lines,
                    lambda line: rx.el.li(rx.el.span(line.role, class_name="kind"), rx.el.p(line.text)),
                ),
                class_name="told",
                tab_index=0,
                aria_label="What the model was told",
            ),
            rx.el.div(button("Hide what the model was told", on_click=Told.hide), class_name="row"),
            class_name="stack tight",
        ),
        rx.el.div(button("Show what the model was told", icon="messages-square", on_click=Told.show)),
    )
