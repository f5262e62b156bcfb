"""A smith's profile, and its end."""

import json
from typing import Any

import reflex as rx

from ingram_app.console.address import named
from ingram_app.console.dialogs import confirm_by_name
from ingram_app.console.figures import counted
from ingram_app.console.looks import button, field, guarded, save_bar, section
from ingram_app.console.run_rows import called
from ingram_app.console.session import Session, standing
from ingram_app.core.database import compact, transaction
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.core.secrets import digest
from ingram_app.domain import smiths, threads
from ingram_app.domain.smiths import Smith


class Profile(rx.State):
    who: str = ""
    display_name: str = ""
    locale: str = ""
    timezone: str = ""
    customer_id: str = ""
    metadata: str = ""
    revision: str = ""
    """Tells what is kept from what was kept before: with it the form is put up anew."""
    loss: str = ""
    """What archiving the smith ends."""
    error: str = ""
    error_at: str = ""

    @rx.event
    async def load(self):
        """Show the profile of the smith that the address names."""
        caller = await standing(self)
        try:
            async with transaction(caller.tenancy) as session:
                clone = await smiths.find(session, caller, named(self, "smiths"))
                held, turns = await threads.totals(session, caller, clone.smith.id)
        except NotFound:
            return self.reset()  # the page says so
        self._show(clone.smith)
        self.loss = (
            f"It answers no more. {counted(held, 'thread')} with {counted(turns, 'turn')} can not be gone on with; its "
            "runs stay on record. The external id is free again: asking for it makes a new, empty smith."
        )

    @rx.event
    async def save(self, form: dict[str, Any]):
        """Keep the profile."""
        caller = await standing(self)
        changes: dict[str, Any] = {name: str(form.get(name, "")).strip() or None for name in smiths.PROFILE}
        try:
            changes["metadata"] = _object(str(form.get("metadata", "")))
            async with transaction(caller.tenancy) as session:
                clone = await smiths.change(session, caller, named(self, "smiths"), changes)
        except (Invalid, NotFound) as error:
            if isinstance(error, NotFound) and error.param is None:
                raise
            self.error, self.error_at = error.sentence, error.param or ""
            return None
        self._show(clone.smith)
        return rx.toast.success("Saved")

    @rx.event
    async def archive(self, form: dict[str, Any]):
        """Take the smith out of use, if its name was typed."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            clone = await smiths.find(session, caller, named(self, "smiths"))
            if form.get("name") != called(clone.smith):
                return rx.toast.error("That is not its name. Nothing was archived.")
            await smiths.archive(session, caller, clone.smith.id)
        return [rx.redirect(f"/p/{caller.project_id}/smiths"), rx.toast.success("Archived")]

    def _show(self, smith: Smith) -> None:
        self.who = called(smith)
        self.display_name, self.locale = smith.display_name or "", smith.locale or ""
        self.timezone, self.customer_id = smith.timezone or "", smith.customer_id or ""
        self.metadata = json.dumps(smith.about, indent=2, ensure_ascii=False) if smith.about else ""
        kept = [smith.id, self.display_name, self.locale, self.timezone, self.customer_id, smith.about]
        self.revision = digest(compact(kept))[:12]
        self.error = self.error_at = ""


class NoObject(Invalid):
    """Metadata is a JSON object, like {example}. This is not: {why}."""


def _object(text: str) -> dict[str, Any]:
    """Return the JSON object that a text is, empty for none. Raises `NoObject`."""
    if not text.strip():
        return {}
    example = '{"plan": "pro"}'
    try:
        value = json.loads(text)
    except ValueError as wrong:
        raise NoObject(example=example, why=str(wrong), param="metadata") from None
    if not isinstance(value, dict):
        raise NoObject(example=example, why="it is no object", param="metadata")
    return value


def form() -> rx.Component:
    """Who the smith is for."""
    return guarded(
        "profile",
        rx.el.fieldset(
            field("display_name", "Display name", default_value=Profile.display_name, max_length=200),
            rx.el.div(
                field("locale", "Locale", default_value=Profile.locale, help="Like de-AT", max_length=35),
                field(
                    "timezone", "Time zone", default_value=Profile.timezone, help="Like Europe/Vienna", max_length=64
                ),
                class_name="pair",
            ),
            field(
                "customer_id",
                "Customer",
                default_value=Profile.customer_id,
                help="Whom what it uses from now on is billed to: an id from Customers.",
                error=rx.cond(Profile.error_at == "customer_id", Profile.error, ""),
                max_length=64,
                placeholder="cus_…",
            ),
            field(
                "metadata",
                "Metadata",
                kind="area",
                default_value=Profile.metadata,
                error=rx.cond(Profile.error_at == "metadata", Profile.error, ""),
                help="A JSON object. Variables in the instructions are filled from it.",
                class_name="input mono",
                rows=4,
                spell_check=False,
            ),
            disabled=~Session.builds,
            class_name="stack",
        ),
        save_bar(),
        on_submit=Profile.save,
        key=Profile.revision,
    )


def danger() -> rx.Component:
    """The way to archive."""
    return rx.cond(
        Session.builds,
        section(
            "Archive",
            "The smith answers no more and leaves the lists. This can not be undone.",
            rx.el.div(button("Archive this smith …", kind="danger", opens="archive-smith")),
        ),
    )


def archive_dialog() -> rx.Component:
    """What asks before."""
    return confirm_by_name(
        "archive-smith",
        "Archive this smith",
        Profile.loss,
        name=Profile.who,
        deed="Archive",
        on_confirm=Profile.archive,
    )
