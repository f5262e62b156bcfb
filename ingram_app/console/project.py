"""Project settings: its name, its id, and how to be rid of it."""

from typing import Any

import reflex as rx

from ingram_app.console.dialogs import close_dialog, confirm_by_name
from ingram_app.console.figures import counted, moment
from ingram_app.console.limits import LimitsPart, limits
from ingram_app.console.looks import (
    button,
    facts,
    field,
    guarded,
    head,
    kept,
    relative_time,
    save_bar,
    section,
    skeleton,
    split,
    whole_id,
)
from ingram_app.console.retention import RetentionPart, retention
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid
from ingram_app.domain import projects, runs
from ingram_app.domain.projects import Figures

_FORM = "project-form"
_DELETE = "delete-project"


class ProjectPage(rx.State):
    loaded: bool = False
    id: str = ""
    name: str = ""
    created: str = ""
    loss: str = ""
    error: str = ""

    @rx.event
    async def load(self):
        """Show the project and how much hangs in it."""
        caller = await standing(self)
        self.loaded = self.id == caller.project_id
        async with transaction(caller.tenancy) as session:
            project = await projects.own(session, caller)
            figures = await projects.figures(session, caller)
        self.id, self.name, self.created = project.id, project.name, moment(project.created_at)
        self.loss, self.error, self.loaded = _loss(figures), "", True

    @rx.event
    async def rename(self, form: dict[str, Any]):
        """Give the project another name."""
        caller = await standing(self)
        try:
            async with transaction(caller.tenancy) as session:
                project = await projects.rename(session, caller, str(form.get("name", "")))
        except Invalid as error:
            self.error = error.sentence
            return None
        self.name, self.error = project.name, ""
        return [kept(_FORM), Session.arrive, rx.toast.success("Saved.")]

    @rx.event
    async def delete(self, form: dict[str, Any]):
        """Archive the project, when its name has been typed."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            project = await projects.own(session, caller)
            if form.get("name") != project.name:
                return rx.toast.error("That is not the project's name.")
            await runs.close_project(session, caller, caller.project_id)
        return [close_dialog(_DELETE), rx.redirect("/"), rx.toast.success(f"{project.name} is deleted.")]


def _loss(figures: Figures) -> str:
    gone = f"{counted(figures.agents, 'agent')}, {counted(figures.smiths, 'smith')} and {counted(figures.runs, 'run')}"
    keys = counted(figures.tokens, "key")
    return f"{gone} go with it. {keys} will be refused at once, and live runs end."


@page("/p/[project]/settings/project", title="Project", on_load=[ProjectPage.load, LimitsPart.load, RetentionPart.load])
def project() -> rx.Component:
    body = rx.el.div(
        guarded(
            _FORM,
            field(
                "name",
                "Name",
                help="What teammates see. The id stays.",
                error=ProjectPage.error,
                default_value=ProjectPage.name,
                key=ProjectPage.id,
                max_length=80,
                required=True,
                disabled=~Session.manages,
            ),
            save_bar(),
            on_submit=ProjectPage.rename,
        ),
        limits(),
        retention(),
        rx.cond(Session.manages, _danger()),
        class_name="stack",
    )
    aside = facts(
        ("Id", whole_id(ProjectPage.id)),
        ("Organization", Session.organization),
        ("Created", relative_time(ProjectPage.created)),
    )
    return rx.fragment(
        head("Project", "What belongs to this project alone, and nothing of another."),
        rx.cond(ProjectPage.loaded, split(body, aside), skeleton()),
    )


def _danger() -> rx.Component:
    return rx.fragment(
        section(
            "Delete the project",
            ProjectPage.loss,
            rx.el.div(button("Delete project …", kind="danger", opens=_DELETE), class_name="row"),
        ),
        confirm_by_name(
            _DELETE,
            "Delete the project",
            ProjectPage.loss,
            name=ProjectPage.name,
            deed="Delete project",
            on_confirm=ProjectPage.delete,
        ),
    )
