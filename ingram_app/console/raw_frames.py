"""A run's frames as they were sent, when somebody asks for them."""

import reflex as rx

from ingram_app.console.address import is_at, named
from ingram_app.console.looks import button, code
from ingram_app.console.session import standing
from ingram_app.core.database import transaction
from ingram_app.domain import frames, runs

_MOST = 100


class RawFrames(rx.State):
    run_id: str = ""
    """Whose they are."""
    text: str = ""
    """A line for each frame; at most `_MOST` of them."""
    last: int = 0
    more: bool = False

    @rx.event
    async def show(self):
        """Show the next hundred."""
        caller = await standing(self)
        if named(self, "runs") != self.run_id:
            self.reset()
        async with transaction(caller.tenancy) as session:
            run = await runs.look_up(session, caller, named(self, "runs"))
            found = await frames.browse(session, caller.project_id, run.id, self.last, _MOST + 1)
        self.run_id, page = run.id, found[:_MOST]
        self.text = "\n".join(f"{frame.seq:>4}  {frame.event}  {frame.data}" for frame in page) or "No frames yet."
        self.last, self.more = page[-1].seq if page else self.last, len(found) > _MOST

    @rx.event
    async def hide(self):
        """Put them away."""
        await standing(self)
        self.reset()


def shown() -> rx.Component:
    """The frames, or the button that shows them."""
    return rx.cond(
        (RawFrames.text != "") & is_at(RawFrames.run_id),
        rx.el.div(
            code(RawFrames.text, "Frames as they were sent"),
            rx.el.div(
                rx.cond(RawFrames.more, button("The next 100", on_click=RawFrames.show)),
                button("Hide", on_click=RawFrames.hide),
                class_name="row",
            ),
            class_name="stack tight raw",
        ),
        rx.el.div(button("Show the raw frames", icon="braces", on_click=RawFrames.show)),
    )
