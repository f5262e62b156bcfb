"""The working document of a smith: written here, with what it was, and told when somebody else wrote it meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.address import asked, named
from ingram_app.console.dialogs import close_dialog, form_dialog, open_dialog
from ingram_app.console.differences import Difference, differences, side_by_side
from ingram_app.console.figures import author, moment
from ingram_app.console.lists import list_table
from ingram_app.console.looks import alert, button, code, field, guarded, relative_time, save_bar, skeleton
from ingram_app.console.session import Session, standing
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.domain import memory
from ingram_app.domain.access import Caller
from ingram_app.domain.memory import MOST_BYTES, MemoryDocument, MemoryDocumentChanged
from ingram_app.domain.versions import Change

VIEW = "document"


@dataclass
class WritingRow:
    version: int
    size: str
    by: str
    at: str

    @classmethod
    def of(cls, one: MemoryDocument) -> "WritingRow":
        return cls(one.version, f"{len(one.content.encode()):,}", author(one.actor), moment(one.created_at))


class MemoryDocumentTab(rx.State):
    smith_id: str = ""
    content: str = ""
    """What the editor was filled with."""
    size: str = "0"
    """In bytes."""
    version: int = 0
    """Of what the editor was filled with."""
    filled: int = 0
    """Counts how often the editor was filled: with it the form is put up anew."""
    theirs: str = ""
    """What somebody wrote meanwhile."""
    theirs_version: int = 0
    theirs_by: str = ""
    rows: list[WritingRow] = []
    error: str = ""
    chosen: int = 0
    shown: list[Difference] = []
    """What going back to the chosen revision changes."""

    @rx.event
    async def load(self):
        """Show the document; over what is being written only that it was changed."""
        caller = await standing(self)
        if asked(self, "tab") != "memory" or asked(self, "view") != VIEW:
            return self.reset()
        smith_id = named(self, "smiths")
        try:
            found = await _revisions(caller, smith_id)
        except NotFound:
            return self.reset()  # the page says so
        if smith_id == self.smith_id:
            return self._compare(found)
        self.smith_id = smith_id
        return self._fill(found)

    @rx.event
    async def save(self, form: dict[str, Any]):
        """Keep what was written, unless somebody has written meanwhile and it was not said to go over that."""
        caller = await standing(self)
        smith_id = named(self, "smiths")
        over = self.theirs_version if self.theirs_version and form.get("over") else self.version
        try:
            async with transaction(caller.tenancy) as session:
                await memory.write(session, caller, smith_id, str(form.get("content", "")), over=over)
        except Invalid as error:
            self.error = error.sentence
            return None
        except MemoryDocumentChanged:
            return self._compare(await _revisions(caller, smith_id))
        self._fill(await _revisions(caller, smith_id))
        return rx.toast.success("Saved")

    @rx.event
    async def take_theirs(self):
        """Fill the editor with what somebody wrote meanwhile."""
        caller = await standing(self)
        self._fill(await _revisions(caller, named(self, "smiths")))

    @rx.event
    async def choose(self, version: int):
        """Ask whether the document is to be again what it was, and tell what that changes."""
        caller = await standing(self)
        found = await _revisions(caller, named(self, "smiths"))
        wanted = next((one for one in found if one.version == version), None)
        if wanted is None:
            raise NotFound(noun="revision", id=version)
        self.chosen = wanted.version
        changes = differences([Change("document", found[0].content, wanted.content)])
        self.shown = [one for one in changes if one.lines]
        return open_dialog("restore-memory")

    @rx.event
    async def restore(self, form: dict[str, Any]):
        """Write the chosen revision anew."""
        caller = await standing(self)
        smith_id = named(self, "smiths")
        async with transaction(caller.tenancy) as session:
            written = await memory.restore(session, caller, smith_id, self.chosen)
        self._fill(await _revisions(caller, smith_id))
        said = f"Version {self.chosen} again, as version {written.version}"
        return [close_dialog("restore-memory"), rx.toast.success(said)]

    def _fill(self, found: Sequence[MemoryDocument]) -> None:
        newest = found[0] if found else None
        self.content, self.version = (newest.content, newest.version) if newest else ("", 0)
        self.size, self.filled = f"{len(self.content.encode()):,}", self.filled + 1
        self._compare(found)

    def _compare(self, found: Sequence[MemoryDocument]) -> None:
        self.rows, self.error = [WritingRow.of(one) for one in found], ""
        newer = found[0] if found and found[0].version != self.version else None
        self.theirs, self.theirs_version = (newer.content, newer.version) if newer else ("", 0)
        self.theirs_by = author(newer.actor) if newer else ""


async def _revisions(caller: Caller, smith_id: str) -> list[MemoryDocument]:
    async with transaction(caller.tenancy) as session:
        return await memory.revisions(session, caller, smith_id)


def document() -> rx.Component:
    """The editor, and what the document was."""
    return rx.cond(MemoryDocumentTab.smith_id != "", _document(), skeleton())


def _document() -> rx.Component:
    return rx.el.div(
        guarded(
            "memory-document",
            rx.cond(MemoryDocumentTab.theirs_version > 0, _theirs()),
            rx.el.fieldset(_editor(), disabled=~Session.builds),
            alert(MemoryDocumentTab.error),
            save_bar(),
            on_submit=MemoryDocumentTab.save,
            key=f"{MemoryDocumentTab.smith_id} {MemoryDocumentTab.filled}",
            class_name="stack",
        ),
        rx.el.section(
            rx.el.h2("What it was"),
            rx.el.p("The hundred newest writings are kept. Going back is a writing too.", class_name="muted small"),
            list_table(
                ["Version", "Bytes#", "By", "When", ""],
                MemoryDocumentTab.rows,
                _cells,
                label="Versions of the document",
                empty=rx.el.p("Nobody has written it yet.", class_name="muted none-match"),
            ),
            class_name="stack",
        ),
        class_name="stack wide-gap",
    )


def _editor() -> rx.Component:
    return field(
        "content",
        "Working document",
        id="memory-content",
        kind="area",
        default_value=MemoryDocumentTab.content,
        help=rx.el.span(
            "Markdown about this person. It stands before the model on each turn. ",
            rx.el.span(f"{MemoryDocumentTab.size} of {MOST_BYTES:,} bytes.", id="memory-bytes"),
        ),
        rows=16,
        class_name="input prose",
        custom_attrs={"data-counted": "memory-bytes", "data-most-bytes": f"{MOST_BYTES}"},
    )


def _theirs() -> rx.Component:
    """What somebody wrote while one was writing."""
    version = MemoryDocumentTab.theirs_version
    return rx.el.div(
        rx.el.p(
            f"{MemoryDocumentTab.theirs_by} has written version {version} meanwhile. Nothing was overwritten.",
            class_name="notice amber",
            role="alert",
        ),
        code(MemoryDocumentTab.theirs, f"Version {version}"),
        rx.el.div(
            button("Take theirs", kind="slim", on_click=MemoryDocumentTab.take_theirs),
            rx.cond(
                Session.builds,
                rx.el.label(
                    rx.el.input(type="checkbox", name="over"), f"Save mine over version {version}", class_name="check"
                ),
            ),
            class_name="row",
        ),
        class_name="stack tight",
    )


def _cells(row: WritingRow) -> list[Any]:
    restore = button(
        "Restore …",
        kind="plain slim",
        on_click=MemoryDocumentTab.choose(row.version),
        aria_label=f"Restore version {row.version}",
    )
    is_newest = row.version == MemoryDocumentTab.rows[0].version
    return [
        rx.el.span(row.version, rx.cond(is_newest, rx.el.span("now", class_name="badge green")), class_name="row"),
        row.size,
        row.by,
        relative_time(row.at),
        rx.cond(Session.builds & ~is_newest, restore),
    ]


def dialog() -> rx.Component:
    """What asks before the document is again what it was."""
    version = MemoryDocumentTab.chosen
    return form_dialog(
        "restore-memory",
        f"Restore version {version}",
        "It is written anew as the newest version: you can come back.",
        rx.el.p("What you have changed and not saved is lost.", class_name="notice amber if-changed"),
        rx.cond(
            MemoryDocumentTab.shown.length() > 0,
            rx.el.div(side_by_side(MemoryDocumentTab.shown, "Now", f"Version {version}"), class_name="scrolls"),
            rx.el.p("Nothing differs.", class_name="notice"),
        ),
        deed="Restore",
        on_submit=MemoryDocumentTab.restore,
    )
