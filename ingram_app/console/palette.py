"""The command palette: ⌘K or Ctrl-K, then a few letters, then Enter. Pages, agents, smiths and runs of the project."""

from collections.abc import Callable
from dataclasses import dataclass

import reflex as rx
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.console.looks import link
from ingram_app.console.session import standing
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound
from ingram_app.core.ids import is_id
from ingram_app.domain import agents, runs, smiths
from ingram_app.domain.access import Caller
from ingram_app.domain.paging import Place

_EACH = Place(limit=5)


@dataclass
class Hit:
    """Something to go to."""

    id: str
    label: str
    kind: str
    href: str


class Palette(rx.State):
    hits: list[Hit] = []
    searched: bool = False

    @rx.event
    async def find(self, words: str):
        """Look for `words` in the project."""
        caller = await standing(self)
        words = words.strip()[:200]
        self.searched = bool(words)
        self.hits = []
        if words and caller.project_id:
            async with transaction(caller.tenancy) as session:
                self.hits = await _hits(session, caller, words)


async def _hits(session: AsyncSession, caller: Caller, words: str) -> list[Hit]:
    root = f"/p/{caller.project_id}"
    found = [
        Hit(agent.id, agent.name, "Agent", f"{root}/agents/{agent.id}")
        for agent in (await agents.browse(session, caller, _EACH, name_part=words)).data
    ]
    among = (await smiths.browse(session, caller, _EACH, external_id_prefix=words)).data
    found += [_smith_hit(clone.smith, root) for clone in among]
    for prefix, find in _BY_ID.items():
        if is_id(words, prefix):
            found.extend(await find(session, caller, words, root))
    return found


async def _run(session: AsyncSession, caller: Caller, id: str, root: str) -> list[Hit]:
    try:
        run = await runs.look_up(session, caller, id)
    except NotFound:
        return []
    return [Hit(run.id, run.id, f"Run · {run.status}", f"{root}/runs/{run.id}")]


async def _smith(session: AsyncSession, caller: Caller, id: str, root: str) -> list[Hit]:
    try:
        smith = (await smiths.find(session, caller, id)).smith
    except NotFound:
        return []
    return [_smith_hit(smith, root)]


def _smith_hit(smith: smiths.Smith, root: str) -> Hit:
    return Hit(smith.id, smith.external_id or smith.id, "Smith", f"{root}/smiths/{smith.id}")


_BY_ID: dict[str, Callable] = {"run": _run, "smt": _smith}


def palette(pages: list[tuple[str, rx.Var[str], rx.Var[bool] | bool]]) -> rx.Component:
    """The dialog; `pages` are (name, address, whether it is offered), found in the browser."""
    options = [
        rx.cond(offered, _option(name, "Page", href, f"palette-{number}", page=True))
        for number, (name, href, offered) in enumerate(pages)
    ]
    return rx.el.dialog(
        rx.el.input(
            id="palette-search",
            class_name="input",
            placeholder="Go to a page, an agent, a smith's external id, a run's id …",
            aria_label="Go to",
            role="combobox",
            aria_expanded="true",
            aria_controls="palette-list",
            auto_complete="off",
            on_change=Palette.find.debounce(120),
            custom_attrs={"data-filters": "#palette [data-page]"},
        ),
        rx.el.ul(
            *options,
            rx.foreach(Palette.hits, lambda hit: _option(hit.label, hit.kind, hit.href, f"palette-{hit.id}")),
            id="palette-list",
            role="listbox",
            aria_label="Found",
        ),
        rx.cond(
            Palette.searched & (Palette.hits.length() == 0),
            rx.el.p("No agent, smith or run of this project matches.", class_name="none small", role="status"),
        ),
        id="palette",
        class_name="palette",
        aria_label="Go to",
    )


def _option(label, kind, href, id, *, page: bool = False) -> rx.Component:
    return rx.el.li(
        link(
            rx.el.span(label),
            rx.el.span(kind, class_name="hint"),
            id=id,
            href=href,
            role="option",
            tab_index=-1,
            aria_selected="false",
            custom_attrs={"data-page": ""} if page else {},
        ),
        role="presentation",
    )
