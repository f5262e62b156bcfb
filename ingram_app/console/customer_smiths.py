"""The smiths of a customer: a part of its page, where they are assigned and taken away."""

from typing import Any

import reflex as rx

from ingram_app.console.address import asked, named, place_of
from ingram_app.console.dialogs import close_dialog, form_dialog
from ingram_app.console.lists import list_table
from ingram_app.console.looks import button, field, relative_time
from ingram_app.console.session import Session, standing
from ingram_app.console.smiths import SmithRow
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound
from ingram_app.core.ids import is_id
from ingram_app.domain import smiths
from ingram_app.domain.paging import Place

_MANY = Place(limit=2)


class CustomerSmiths(rx.State):
    rows: list[SmithRow] = []
    older: str = ""
    error: str = ""
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show a page of the customer's smiths."""
        caller = await standing(self)
        if asked(self, "tab") != "smiths":
            return
        async with transaction(caller.tenancy) as session:
            wanted = named(self, "customers")
            found = await smiths.browse(session, caller, place_of(self), customer_id=wanted)
        self.rows, self.older = [SmithRow.of(clone) for clone in found.data], found.next_cursor or ""
        self.error, self.loaded = "", True

    @rx.event
    async def assign(self, form: dict[str, Any]):
        """Assign a smith, named by its id or by its external id, to the customer."""
        caller = await standing(self)
        word = str(form.get("smith", "")).strip()
        try:
            async with transaction(caller.tenancy) as session:
                if not is_id(word, "smt"):
                    found = (await smiths.browse(session, caller, _MANY, external_id=word)).data
                    if len(found) != 1:
                        several = "Several smiths have this external id. Name one by its id."
                        self.error = several if found else f"There is no smith of the external id {word}."
                        return None
                    word = found[0].smith.id
                await smiths.change(session, caller, word, {"customer_id": named(self, "customers")})
        except NotFound as error:
            self.error = error.sentence
            return None
        return [close_dialog("assign-smith"), CustomerSmiths.load]

    @rx.event
    async def release(self, smith_id: str):
        """Assign a smith to nobody."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await smiths.change(session, caller, smith_id, {"customer_id": None})
        return CustomerSmiths.load


def part(takes: rx.Var[bool], then: Any) -> rx.Component:
    """The list; `takes` says whether smiths can be assigned to the customer. After an assignment comes `then`."""
    assign = rx.cond(Session.builds & takes, button("Assign a smith", icon="plus", kind="main", opens="assign-smith"))
    return rx.el.div(
        rx.el.div(assign, class_name="row"),
        list_table(
            ["External id", "Name", "Agent", "Created", ""],
            CustomerSmiths.rows,
            lambda row: _cells(row, then),
            label="Smiths",
            href=lambda row: f"/p/{Session.project_id}/smiths/{row.id}",
            loaded=CustomerSmiths.loaded,
            older=CustomerSmiths.older,
            empty=rx.el.p("No smith is assigned to it.", class_name="muted none-match"),
        ),
        form_dialog(
            "assign-smith",
            "Assign a smith",
            "What it uses from now on counts for this customer. What it has used stays where it is.",
            field(
                "smith",
                "Smith",
                id="assign-smith-id",
                help="Its external id, or its id.",
                error=CustomerSmiths.error,
                required=True,
                max_length=200,
            ),
            deed="Assign",
            on_submit=[CustomerSmiths.assign, then],
        ),
        class_name="stack",
    )


def _cells(row: SmithRow, then: Any) -> list[Any]:
    label = rx.Var.create(f"Unassign {row.who}").to(str)
    take = button("Unassign", kind="slim plain", on_click=[CustomerSmiths.release(row.id), then], aria_label=label)
    return [
        rx.el.span(row.who, class_name="clip wide", title=row.who),
        rx.cond(row.name != "", row.name, "–"),
        rx.el.span(row.design, class_name="clip", title=row.design),
        relative_time(row.created),
        rx.cond(Session.builds, take),
    ]
