"""Writing a fact down, changing, replacing and deleting one: the dialogs that the memory's pages share."""

from datetime import UTC, datetime
from typing import Any

import reflex as rx

from ingram_app.console.address import asked, named
from ingram_app.console.dialogs import close_dialog, confirm, form_dialog, open_dialog
from ingram_app.console.figures import whole
from ingram_app.console.looks import alert, field
from ingram_app.console.session import standing
from ingram_app.core.database import transaction
from ingram_app.core.errors import Conflict, Invalid
from ingram_app.domain import memories
from ingram_app.domain.memories import CONTENT_LENGTH, WORD_LENGTH, Fact, InvalidMemory, Memory

_EMPTY = {"content": "", "category": "fact", "subject": "", "confidence": "100", "expires_at": ""}


class MemoryWriting(rx.State):
    deed: str = ""
    """`new`, `change`, or `replace`."""
    target: str = ""
    """The fact that is changed, replaced or deleted."""
    said: dict[str, str] = _EMPTY
    """What stands in the dialog at first."""
    error: str = ""
    opened: int = 0
    """Counts how often the dialog was opened: with it the form is put up anew."""
    loss: str = ""
    """What deleting ends."""

    @rx.event
    async def propose(self, deed: str, memory_id: str):
        """Ask for a new fact, for a change of one, or for what replaces it."""
        caller = await standing(self)
        fact = None
        if deed != "new":
            async with transaction(caller.tenancy) as session:
                fact = await memories.find(session, caller, named(self, "smiths"), memory_id)
        self.deed, self.target, self.error = deed, memory_id, ""
        self.said, self.opened = _said(fact) if fact else _EMPTY, self.opened + 1
        return open_dialog("write-fact")

    @rx.event
    async def save(self, form: dict[str, Any]):
        """Write down what was typed; of a fact that is changed only what differs."""
        caller = await standing(self)
        smith_id = named(self, "smiths")
        given = {name: str(form.get(name, "")).strip() for name in _EMPTY}
        try:
            async with transaction(caller.tenancy) as session:
                if self.deed == "change":
                    changes = _read({name: value for name, value in given.items() if value != self.said[name]})
                    await memories.change(session, caller, smith_id, self.target, changes)
                else:
                    supersedes = self.target if self.deed == "replace" else None
                    await memories.write(session, caller, smith_id, Fact(**_read(given)), supersedes=supersedes)
        except (Invalid, Conflict) as error:
            self.error = error.sentence
            return None
        return [close_dialog("write-fact"), rx.toast.success("Saved")]

    @rx.event
    async def take_back(self, memory_id: str):
        """Put a fact back to what it was."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await memories.undo(session, caller, named(self, "smiths"), memory_id)
        return rx.toast.success("As it was before")

    @rx.event
    async def doubt(self, memory_id: str):
        """Ask before a fact is deleted, and tell what goes with it."""
        caller = await standing(self)
        smith_id = named(self, "smiths")
        async with transaction(caller.tenancy) as session:
            fact = await memories.find(session, caller, smith_id, memory_id)
            older = len(await memories.predecessors(session, caller, smith_id, memory_id))
        more = {0: "", 1: " The older fact that it replaced goes with it."}
        self.target = fact.id
        self.loss = f"“{fact.content}” is forgotten for good." + more.get(
            older, f" The {older:,} older facts that it replaced go with it."
        )
        return open_dialog("delete-fact")

    @rx.event
    async def delete(self):
        """Forget the fact."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await memories.remove(session, caller, named(self, "smiths"), self.target)
        back = [rx.redirect(f"{self.router.url.path}?tab=memory")] if asked(self, "fact") == self.target else []
        return [close_dialog("delete-fact"), *back, rx.toast.success("Forgotten")]


def _said(fact: Memory) -> dict[str, str]:
    expires = f"{fact.expires_at.astimezone(UTC):%Y-%m-%dT%H:%M}" if fact.expires_at else ""
    return {
        "content": fact.content,
        "category": fact.category,
        "subject": fact.subject or "",
        "confidence": f"{fact.confidence * 100:.0f}",
        "expires_at": expires,
    }


def _read(given: dict[str, str]) -> dict[str, Any]:
    """Return fields of a fact as they were typed. Raises `InvalidMemory`."""
    fields: dict[str, Any] = dict(given)
    if "subject" in fields:
        fields["subject"] = fields["subject"] or None
    if "confidence" in fields:
        if (percent := whole(fields["confidence"])) is None or percent > 100:
            raise InvalidMemory(field="confidence", why="it is a whole number from 0 to 100")
        fields["confidence"] = percent / 100
    if "expires_at" in fields:
        fields["expires_at"] = _moment(fields["expires_at"])
    return fields


def _moment(typed: str) -> datetime | None:
    if not typed:
        return None
    try:
        return datetime.fromisoformat(typed).replace(tzinfo=UTC)
    except ValueError:
        raise InvalidMemory(field="end", why="it is a date and a time, in UTC") from None


def dialogs() -> rx.Component:
    """What asks for a fact, and before one is deleted."""
    return rx.fragment(
        form_dialog(
            "write-fact",
            rx.match(MemoryWriting.deed, ("change", "Edit the fact"), ("replace", "Replace the fact"), "Add a fact"),
            rx.match(
                MemoryWriting.deed,
                ("change", "What it was is kept, and can be put back."),
                ("replace", "For what is no longer so: the old fact becomes history."),
                "One sentence that stands by itself. What is held already is not written twice.",
            ),
            rx.el.div(*_fields(), class_name="stack", key=MemoryWriting.opened),
            alert(MemoryWriting.error),
            deed="Save",
            on_submit=MemoryWriting.save,
        ),
        confirm(
            "delete-fact",
            "Delete the fact",
            MemoryWriting.loss,
            deed="Delete",
            on_confirm=MemoryWriting.delete,
        ),
    )


def _fields() -> list[rx.Component]:
    def typed(name: str, label: str, **props: Any) -> rx.Component:
        return field(name, label, id=f"fact-{name}", default_value=MemoryWriting.said[name], **props)

    return [
        typed("content", "Fact", kind="area", rows=3, max_length=CONTENT_LENGTH, required=True),
        rx.el.div(
            typed("category", "Category", max_length=WORD_LENGTH, required=True),
            typed("subject", "About", help="Someone or something other than the person.", max_length=WORD_LENGTH),
            class_name="pair",
        ),
        rx.el.div(
            typed("confidence", "Sure, in percent", kind="number", min=0, max=100, step=1),
            typed("expires_at", "Forgotten at (UTC)", kind="datetime-local", help="Empty: never."),
            class_name="pair",
        ),
    ]
