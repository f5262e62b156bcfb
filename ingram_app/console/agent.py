"""One agent: its draft, its versions, which of them rolls out, its smiths, and a place to try the draft."""

import reflex as rx

from ingram_app.console import design, playground, publishing, rollout_tab, roster, versions
from ingram_app.console.address import is_at
from ingram_app.console.agent_head import AgentHead
from ingram_app.console.design import Design
from ingram_app.console.dialogs import code_button, code_drawer, curl
from ingram_app.console.looks import button, facts, link, one_thing, relative_time, skeleton, split
from ingram_app.console.playground import Playground
from ingram_app.console.publishing import Publishing
from ingram_app.console.rollout import Rollout
from ingram_app.console.roster import Roster
from ingram_app.console.session import Session
from ingram_app.console.shell import page
from ingram_app.console.versions import Versions

_VIEWS = [
    ("", "Design"),
    ("versions", "Versions"),
    ("rollout", "Rollout"),
    ("smiths", "Smiths"),
    ("playground", "Playground"),
]
_LOADS = [state.load for state in (Design, Versions, Rollout, Roster, Playground, AgentHead)]
_FOLLOWS = [Playground.follow, AgentHead.follow]


@page("/p/[project]/agents/[agent_id]", title="Agent", on_load=[*_LOADS, *_FOLLOWS])
def agent_page() -> rx.Component:
    return rx.cond(
        AgentHead.loaded & is_at(AgentHead.id),
        rx.fragment(
            _top(),
            rollout_tab.halted(),
            rx.match(
                AgentHead.tab,
                ("versions", versions.tab()),
                ("rollout", rollout_tab.tab()),
                ("smiths", roster.tab()),
                ("playground", _tryout()),
                split(design.form(), _facts()),
            ),
            publishing.dialog(),
            versions.dialog(),
            rollout_tab.dialog(),
            roster.dialog(),
            _code(),
        ),
        skeleton(),
    )


def _top() -> rx.Component:
    return rx.el.div(
        link("Agents", href=f"/p/{Session.project_id}/agents", class_name="crumb"),
        one_thing(
            AgentHead.name,
            AgentHead.id,
            code_button(),
            rx.cond(Session.builds, button("Publish …", kind="main", on_click=Publishing.ask)),
            status=AgentHead.status,
            views=_VIEWS,
            current=AgentHead.tab,
        ),
    )


def _facts() -> rx.Component:
    path = f"/p/{Session.project_id}/agents/{AgentHead.id}"
    return facts(
        ("Live", rx.cond(AgentHead.live != "", AgentHead.live, "nothing yet")),
        ("Rolling out", rx.cond(AgentHead.rolling != "", link(AgentHead.rolling, href=f"{path}?tab=rollout"), "–")),
        ("Slug", rx.cond(AgentHead.slug != "", rx.el.code(AgentHead.slug), "none: the project's default agent")),
        ("Smiths", link(AgentHead.smiths.to_string(), href=f"{path}?tab=smiths")),
        ("Runs", link("Show its runs", href=f"/p/{Session.project_id}/runs?agent={AgentHead.id}")),
        ("Last activity", relative_time(AgentHead.last_activity)),
        ("Created", relative_time(AgentHead.created)),
    )


def _tryout() -> rx.Component:
    return playground.playground(
        "Talk to the draft",
        "Each message is a real run of the draft as it was last saved, on a scratch smith of your own. It stands in no"
        " list of smiths, and goes with all that was said once you have left it alone for an hour.",
        button("Start over", kind="slim", icon="eraser", on_click=Playground.start_over),
    )


def _code() -> rx.Component:
    path = f"/v1/agents/{AgentHead.id}"
    third = '{"version": 2, "percent": 33, "guard": {"max_failure_rate": 0.05, "min_runs": 20, "window_minutes": 60}}'
    return code_drawer(
        ("Change the draft", curl("PATCH", Session.address, path, '{"instructions": "Be brief."}')),
        ("Publish it", curl("POST", Session.address, f"{path}/versions", '{"note": "Briefer"}')),
        ("Compare the draft with a version", curl("GET", Session.address, f"{path}/versions/1/diff/draft")),
        ("See what a rollout would do", curl("POST", Session.address, f"{path}/rollout?dry_run=true", third)),
        ("Roll out to a third, under guard", curl("POST", Session.address, f"{path}/rollout", third)),
        ("Attach every smith", curl("POST", Session.address, f"{path}/attach", '{"all": true}')),
    )
