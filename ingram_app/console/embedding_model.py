"""The embedding model: by whose vectors facts and turns are found, and how far it has come with them."""

from typing import Any

import reflex as rx

from ingram_app.console.following import stirred
from ingram_app.console.looks import field, guarded, kept, save_bar, section
from ingram_app.console.session import Session, standing
from ingram_app.core import signals
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid
from ingram_app.domain import memory_ops, vectors
from ingram_app.domain.access import Caller
from ingram_app.domain.projects import PLATFORM
from ingram_app.domain.vectors import Progress

_FORM = "embedding-model"
_LOOK_SECONDS = 2
_HELP = (
    f"Empty: {PLATFORM.embedding_model}, which runs inside this installation."
    " Others are openai/text-embedding-3-small, or endpoint/model for an endpoint of your own."
)


class EmbeddingModel(rx.State):
    model: str = ""
    texts: int = 0
    embedded: int = 0
    waiting: int = 0
    problem: str = ""
    """The code of what went wrong with one that is tried again."""
    error: str = ""

    @rx.event
    async def load(self):
        """Show the model and how far it has come."""
        caller = await standing(self)
        self._show(await _progress(caller))
        self.error = ""

    @rx.event(background=True)
    async def watch(self):
        """Show how it gets on, until nothing waits for it."""
        caller = await standing(self)
        with signals.listening(memory_ops.DUE) as heard:
            while True:
                found = await _progress(caller)
                async with self:
                    self._show(found)
                if not found.smiths_waiting:
                    return
                await stirred(heard, within_seconds=_LOOK_SECONDS)
                caller = await standing(self)

    @rx.event
    async def prefer(self, form: dict[str, Any]):
        """Choose the model; nothing is the platform's. All that is embedded is embedded anew, by and by."""
        caller = await standing(self)
        wished = str(form.get("embedding_model", "")).strip()
        try:
            async with transaction(caller.tenancy) as session:
                await memory_ops.prefer(session, caller, {"embedding_model": wished or None})
        except Invalid as error:
            self.error = error.sentence
            return None
        self.error = ""
        return [kept(_FORM), EmbeddingModel.watch, rx.toast.success("Saved.")]

    def _show(self, found: Progress) -> None:
        self.model = "" if found.model == PLATFORM.embedding_model else found.model
        self.texts, self.embedded, self.waiting = found.texts, found.embedded, found.smiths_waiting
        self.problem = found.error or ""


async def _progress(caller: Caller) -> Progress:
    async with transaction(caller.tenancy) as session:
        return await vectors.progress(session, caller)


def embedding_model() -> rx.Component:
    """The form with how far it has come; whoever may not change the project looks at it."""
    state = EmbeddingModel
    come = rx.el.div(
        rx.el.progress(value=state.embedded, max=state.texts, aria_label="Embedded"),
        rx.el.span(f"{state.embedded} of {state.texts} facts and turns are embedded."),
        rx.cond(state.waiting > 0, rx.el.span(f"Smiths that wait: {state.waiting}.", class_name="muted")),
        rx.cond(state.problem != "", rx.el.span(f"The last one failed: {state.problem}.", class_name="muted")),
        class_name="row",
        role="status",
    )
    return section(
        "Embedding model",
        "By whose vectors memory is searched. After a change all is embedded anew; until then the old vectors serve.",
        guarded(
            _FORM,
            field(
                "embedding_model",
                "Embedding model",
                help=_HELP,
                error=state.error,
                default_value=state.model,
                key=state.model,
                placeholder=PLATFORM.embedding_model,
                max_length=200,
                auto_complete="off",
                disabled=~Session.manages,
            ),
            rx.cond(state.texts > 0, come),
            save_bar(),
            on_submit=state.prefer,
        ),
    )
