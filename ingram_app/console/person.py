"""What the person behind a smith may ask for: that it becomes theirs, that they get all of it, that it is erased."""

from typing import Any

import reflex as rx

from ingram_app.console.address import asked, named
from ingram_app.console.dialogs import close_dialog, confirm_by_name, form_dialog
from ingram_app.console.figures import counted
from ingram_app.console.looks import NativeForm, button, field, section, served
from ingram_app.console.run_rows import called
from ingram_app.console.session import Session, standing
from ingram_app.core.database import transaction
from ingram_app.core.errors import Conflict, Invalid, NotFound
from ingram_app.domain import claims, erasures, smiths

_LOST = {
    "threads": "thread",
    "runs": "run",
    "messages": "message",
    "frames": "frame",
    "memories": "memory",
    "memory_documents": "document revision",
    "tokens": "token",
}
"""What is told of that an erasure removes, and what one of it is called."""


class Person(rx.State):
    smith_id: str = ""
    who: str = ""
    anonymous: bool = False
    loss: str = ""
    """What erasing removes."""
    claim_error: str = ""

    @rx.event
    async def load(self):
        """Tell what is held about the person of the smith that the address names."""
        caller = await standing(self)
        if asked(self, "tab") != "profile":
            return
        try:
            async with transaction(caller.tenancy) as session:
                clone = await smiths.find(session, caller, named(self, "smiths"))
                held = await erasures.preview(session, caller, clone.smith.id)
        except NotFound:
            return self.reset()  # the page says so
        self.smith_id, self.who = clone.smith.id, called(clone.smith)
        self.anonymous = (clone.smith.external_id or "").startswith(smiths.ANONYMOUS)
        self.loss = (
            f"Gone for good: {', '.join(_counted(held, kind) for kind in _LOST if held[kind]) or 'its profile'}. "
            "What is under way stops. What its runs used stays in the totals, without a word of what was said."
        )
        self.claim_error = ""

    @rx.event
    async def claim(self, form: dict[str, Any]):
        """Make the smith that of a user who has signed in, and open what it became."""
        caller = await standing(self)
        external_id = str(form.get("external_id", "")).strip()
        try:
            async with transaction(caller.tenancy) as session:
                clone = await claims.claim(session, caller, named(self, "smiths"), external_id)
        except (Invalid, Conflict) as error:
            self.claim_error = error.sentence
            return None
        self.reset()  # what was told of the stranger
        there = rx.redirect(f"/p/{caller.project_id}/smiths/{clone.smith.id}")
        return [close_dialog("claim-smith"), there, rx.toast.success(f"Claimed for {external_id}")]

    @rx.event
    async def erase(self, form: dict[str, Any]):
        """Erase all that is held about the person, if the smith's name was typed."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            clone = await smiths.find(session, caller, named(self, "smiths"))
            if form.get("name") != called(clone.smith):
                return rx.toast.error("That is not its name. Nothing was erased.")
            receipt = await erasures.erase(session, caller, clone.smith.id)
        return [
            rx.redirect(f"/p/{caller.project_id}/smiths"),
            rx.toast.success(f"Erased. The receipt is {receipt.id}."),
        ]


def _counted(held: dict[str, int], kind: str) -> str:
    number, noun = held[kind], _LOST[kind]
    return f"{number:,} memories" if kind == "memories" and number != 1 else counted(number, noun)


def requests() -> rx.Component:
    """What one does when they ask; for those who may."""
    return rx.cond(
        Session.builds & (Person.smith_id != ""),
        rx.fragment(
            rx.cond(
                Person.anonymous,
                section(
                    "Claim",
                    "The person has signed in: the smith becomes that user's. If they have one of this agent already, "
                    "what was said moves into it, and this one is archived. Its tokens end.",
                    rx.el.div(button("Claim for a user …", opens="claim-smith")),
                ),
            ),
            section(
                "Export",
                "Everything that is held about the person, as JSON Lines: profile, threads, runs, messages, memory.",
                NativeForm.create(
                    rx.el.div(button("Download", icon="download", type="submit")),
                    action=served(f"/exports/{Session.project_id}/{Person.smith_id}.jsonl"),
                    method="post",
                ),
            ),
            section(
                "Erase",
                "For a person who asks to be forgotten. All that is held about them goes, at once and for good.",
                rx.el.div(button("Erase everything …", kind="danger", opens="erase-smith")),
            ),
        ),
    )


def dialogs() -> rx.Component:
    """What asks before."""
    return rx.fragment(
        form_dialog(
            "claim-smith",
            "Claim for a user",
            "Your product does this by API when someone signs in.",
            field(
                "external_id",
                "External id of the user",
                id="claim-external-id",
                help="The id you know them by.",
                error=Person.claim_error,
                max_length=200,
                required=True,
            ),
            deed="Claim",
            on_submit=Person.claim,
        ),
        confirm_by_name(
            "erase-smith",
            "Erase everything about this person",
            Person.loss,
            name=Person.who,
            deed="Erase",
            on_confirm=Person.erase,
        ),
    )
