"""The draft of an agent: everything that a version freezes."""

from typing import Any

import reflex as rx

from ingram_app.console import design_form, model_field
from ingram_app.console.address import asked, named
from ingram_app.console.agent_head import AgentHead
from ingram_app.console.design_form import HOSTED, SERVER, Choice, VariableRow
from ingram_app.console.looks import alert, field, guarded, save_bar, section
from ingram_app.console.model_field import ProviderChoice
from ingram_app.console.session import Session, standing
from ingram_app.core.database import compact, transaction
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.core.secrets import digest
from ingram_app.domain import agents, mcp_servers, searches
from ingram_app.domain.access import Caller

_INSTRUCTIONS_LENGTH = 100_000
_TOOLS = '[{"name": "open_page", "description": "Opens a page.", "parameters": {"type": "object"}}]'
_POLICY = '[{"match": "send_*", "require": "approval", "approver": "smith"}]'
_SKILLS = '[{"skill_id": "skl_…"}]'


class Design(rx.State):
    name: str = ""
    revision: str = ""
    """Tells one draft from another: with it the form is put up anew."""
    texts: dict[str, str] = {}
    chosen: str = ""
    other: str = ""
    memory: dict[str, bool] = {}
    variables: list[VariableRow] = []
    hosted: list[Choice] = []
    servers: list[Choice] = []
    providers: list[ProviderChoice] = []
    standard: str = ""
    error: str = ""
    error_at: str = ""
    """The field that the error is about."""

    @rx.event
    async def load(self):
        """Show the draft of the agent that the address names."""
        caller = await standing(self)
        if asked(self, "tab"):
            return
        try:
            await self._show(caller, named(self, "agents"))
        except NotFound:
            self.reset()  # the page says so

    @rx.event
    async def save(self, form: dict[str, Any]):
        """Keep what has been changed of the draft."""
        caller = await standing(self)
        wanted = named(self, "agents")
        try:
            async with transaction(caller.tenancy) as session:
                changes = design_form.changes(await agents.find(session, caller, wanted), form)
                if changes:
                    await agents.change(session, caller, wanted, changes)
        except Invalid as error:
            self.error, self.error_at = error.sentence, _place(error.param or "name")
            return None
        await self._show(caller, wanted)
        return [AgentHead.load, rx.toast.success("Saved as a draft")]

    async def _show(self, caller: Caller, wanted: str) -> None:
        async with transaction(caller.tenancy) as session:
            agent = await agents.find(session, caller, wanted)
            choices = await model_field.choices(session, caller)
            registered = [server.name for server in await mcp_servers.browse(session, caller)]
            search = (await searches.find(session, caller)).available
        draft = agent.draft
        self.name = agent.name
        self.revision = digest(compact([agent.id, agent.name, draft]))[:12]
        self.providers, self.standard = choices.providers, choices.standard
        self.chosen = choices.chosen(draft.get("model"))
        self.other = (draft.get("model") or "") if self.chosen == model_field.OTHER else ""
        self.texts, self.variables = design_form.texts(draft), design_form.variables(draft)
        self.memory = design_form.memory(draft)
        self.hosted = design_form.hosted(draft, search=search)
        self.servers = design_form.servers(draft, registered)
        self.error = self.error_at = ""


def _place(param: str) -> str:
    """Return the field of the form that an error belongs to."""
    first, _, rest = param.partition(".")
    return rest if first == "model_settings" and rest else first


def form() -> rx.Component:
    """Every field of the draft."""
    return guarded(
        "design",
        alert(Design.error),
        rx.el.fieldset(
            field("name", "Name", default_value=Design.name, error=_error("name"), max_length=120, required=True),
            _instructions(),
            _model(),
            _variables(),
            _tools(),
            _memory(),
            disabled=~Session.builds,
            class_name="stack wide-gap",
        ),
        save_bar("Save draft"),
        on_submit=Design.save,
        key=Design.revision,
    )


def _instructions() -> rx.Component:
    return field(
        "instructions",
        "Instructions",
        kind="area",
        default_value=Design.texts["instructions"],
        error=_error("instructions"),
        help=rx.el.span(
            "What the assistant is told before every conversation. ",
            rx.el.code("{{ name }}"),
            " stands for a variable. ",
            rx.el.span(
                f"{Design.texts['instructions'].length()} of {_INSTRUCTIONS_LENGTH:,} characters.",
                id="instructions-count",
            ),
        ),
        max_length=_INSTRUCTIONS_LENGTH,
        rows=14,
        class_name="input prose",
        custom_attrs={"data-counted": "instructions-count"},
    )


def _model() -> rx.Component:
    efforts = [("", "The model's own"), *((word, word.capitalize()) for word in ("minimal", "low", "medium", "high"))]
    return section(
        "Model",
        "Which model answers, what stands in for it, and how it is asked.",
        model_field.model_field(
            Design.providers,
            Design.standard,
            chosen=Design.chosen,
            other=Design.other,
            error=_error("model"),
            about="A model without a key can be chosen; its runs fail until there is one, and say so.",
            id="model",
        ),
        rx.el.div(
            _lines("fallback_models", "Fallback models", "Asked in this order when the model fails. One a line."),
            _text("cheaper_model", "Cheaper model", "Answers when a budget asks for it."),
            class_name="pair",
        ),
        rx.el.div(
            _text("temperature", "Temperature", "0 to 2. Empty: the model's own.", input_mode="decimal"),
            _text("max_tokens", "Most tokens of a reply", "Empty: what the project allows.", input_mode="numeric"),
            field(
                "reasoning_effort",
                "Effort",
                kind="select",
                options=efforts,
                default_value=Design.texts["reasoning_effort"],
                error=_error("reasoning_effort"),
                help="How long it thinks first, if it can.",
            ),
            class_name="thirds",
        ),
    )


def _variables() -> rx.Component:
    return section(
        "Variables",
        "Bound for each smith from its metadata, else from the default. Save for more empty rows.",
        rx.el.div(rx.foreach(Design.variables, _variable), class_name="variables"),
        rx.cond(_error("variables") != "", rx.el.p(Design.error, class_name="error", role="alert")),
    )


def _variable(row: VariableRow) -> rx.Component:
    def cell(name: str, label: str, value: Any, **props: Any) -> rx.Component:
        label = f"{label} of variable {row.place + 1}"
        name = f"variable-{name}-{row.place}"
        return rx.el.input(name=name, default_value=value, aria_label=label, class_name="input", **props)

    return rx.el.div(
        cell("name", "Name", row.name, placeholder="name", max_length=64, auto_complete="off"),
        cell("default", "Default", row.default, placeholder="default"),
        cell("description", "Description", row.description, placeholder="what it is"),
        rx.el.label(
            rx.el.input(type="checkbox", name=f"variable-required-{row.place}", default_checked=row.required),
            "required",
            class_name="tick",
        ),
        class_name="variable",
    )


def _tools() -> rx.Component:
    servers = [("all", "All that the project has"), ("these", "Only these:")]
    return section(
        "Tools",
        "What the assistant may use besides words, and what a person has to approve.",
        rx.el.div(
            _choices("Built-in tools", Design.hosted, HOSTED),
            rx.el.div(
                field("mcp", "MCP servers", kind="select", options=servers, default_value=Design.texts["mcp"], help=""),
                rx.cond(
                    Design.servers.length() > 0,
                    _choices("Servers", Design.servers, SERVER),
                    rx.el.p(
                        "The project has none yet. They are registered under Tools.", class_name="help small muted"
                    ),
                ),
                class_name="stack tight mcp",
            ),
            class_name="pair",
        ),
        _json("client_tools", "Client tools", "A JSON list. Your own program runs these.", _TOOLS),
        _json("approval_policy", "Approval policy", "A JSON list: which tools wait for a person.", _POLICY),
        rx.el.div(
            _json("skills", "Skills", "A JSON list, in order of priority.", _SKILLS),
            _lines("vector_store_ids", "Vector stores", "Their ids, one a line."),
            class_name="pair",
        ),
    )


def _choices(label: str, choices: rx.Var[list[Choice]], kind: str) -> rx.Component:
    def one(choice: Any) -> rx.Component:
        box = rx.el.input(type="checkbox", name=f"{kind}{choice.name}", default_checked=choice.on)
        about = rx.cond(choice.about != "", rx.el.span(choice.about, class_name="help"))
        return rx.el.label(box, rx.el.span(rx.el.span(choice.title), about), class_name="tick choice")

    return rx.el.fieldset(rx.el.legend(label), rx.foreach(choices, one), class_name="choices")


def _memory() -> rx.Component:
    return section(
        "Memory",
        "What it keeps about the person, for itself alone.",
        _switch("auto_memory", "Remember", "Facts from a turn are written down after it."),
        _switch(
            "memory_consolidation",
            "Consolidate memory",
            "Facts are folded into one document at quiet times. This calls the model.",
        ),
    )


def _switch(name: str, label: str, about: str) -> rx.Component:
    return rx.el.label(
        rx.el.input(type="checkbox", name=name, default_checked=Design.memory[name], role="switch"),
        rx.el.span(rx.el.span(label), rx.el.span(about, class_name="help")),
        class_name="switch",
    )


def _text(name: str, label: str, help: str, **props: Any) -> rx.Component:
    return field(name, label, default_value=Design.texts[name], help=help, error=_error(name), **props)


def _lines(name: str, label: str, help: str) -> rx.Component:
    words = {"kind": "area", "rows": 3, "class_name": "input mono few"}
    return field(name, label, default_value=Design.texts[name], help=help, error=_error(name), **words)


def _json(name: str, label: str, help: str, example: str) -> rx.Component:
    words = {"kind": "area", "rows": 4, "class_name": "input mono few", "placeholder": example}
    return field(name, label, default_value=Design.texts[name], help=help, error=_error(name), **words)


def _error(name: str) -> rx.Var[str]:
    return rx.cond(Design.error_at == name, Design.error, "")
