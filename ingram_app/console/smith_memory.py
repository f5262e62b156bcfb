"""A smith's memory, in four views: its facts, its working document, what changed, and what would be recalled."""

import reflex as rx

from ingram_app.console import (
    memory_changes,
    memory_document,
    memory_fact,
    memory_facts,
    memory_tryout,
    memory_writing,
)
from ingram_app.console.address import asked, named
from ingram_app.console.following import stirred
from ingram_app.console.looks import link
from ingram_app.console.memory_changes import MemoryChanges
from ingram_app.console.memory_document import MemoryDocumentTab
from ingram_app.console.memory_fact import MemoryFact
from ingram_app.console.memory_facts import MemoryFacts
from ingram_app.console.memory_tryout import MemoryTryout
from ingram_app.console.session import standing
from ingram_app.core import signals
from ingram_app.domain import memory

TAB = "memory"
LOADS = [MemoryFacts.load, MemoryFact.load, MemoryDocumentTab.load, MemoryChanges.load, MemoryTryout.load]
_VIEWS = [
    ("", "Facts"),
    (memory_document.VIEW, "Document"),
    (memory_changes.VIEW, "Timeline"),
    (memory_tryout.VIEW, "What would be recalled"),
]
_HELD_BACK_SECONDS = 5
"""The feed, which the timeline shows, may hold an event back for a moment: it is looked at again."""

_APART_SECONDS = 0.1
"""What one has done oneself is shown by this too: it is not waited for."""


class SmithMemory(rx.State):
    @rx.event(background=True)
    async def follow(self):
        """Show what changes, for as long as the tab shows the memory."""
        await standing(self)
        if asked(self, "tab") != TAB:
            return
        again = _HELD_BACK_SECONDS if asked(self, "view") == memory_changes.VIEW else None
        with signals.listening(memory.topic(named(self, "smiths"))) as heard:
            heard.put_nowait(None)  # what changed since the page was read
            while True:
                await stirred(heard, again, _APART_SECONDS)
                await standing(self)
                for load in LOADS:
                    yield load


def tab() -> rx.Component:
    """The view that the address asks for."""
    asked = rx.State.router.url.query_parameters
    return rx.el.div(
        _views(),
        rx.match(
            asked["view"],
            (memory_document.VIEW, memory_document.document()),
            (memory_changes.VIEW, memory_changes.changes()),
            (memory_tryout.VIEW, memory_tryout.tryout()),
            rx.cond(asked["fact"].is_not_none(), memory_fact.fact(), memory_facts.facts()),
        ),
        class_name="stack",
    )


def dialogs() -> rx.Component:
    """What asks before something is written or deleted."""
    return rx.fragment(memory_writing.dialogs(), memory_document.dialog())


def _views() -> rx.Component:
    current = rx.State.router.url.query_parameters["view"]
    path = rx.State.router.url.path
    return rx.el.nav(
        *(
            link(
                words,
                href=f"{path}?tab={TAB}&view={key}" if key else f"{path}?tab={TAB}",
                class_name="chip",
                aria_current=rx.cond(current == key if key else current.is_none(), "true", "false"),
            )
            for key, words in _VIEWS
        ),
        class_name="chips",
        aria_label="Parts of the memory",
    )
