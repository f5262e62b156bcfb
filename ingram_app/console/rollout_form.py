"""What a form asks of a rollout, and what a plan tells, in words."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ingram_app.console.differences import label
from ingram_app.console.figures import counted, whole
from ingram_app.domain.rollouts import InvalidGuard, InvalidPercent, Plan

_PERCENTS = {"max_failure_rate"}
_WHOLE = {"min_runs", "window_minutes"}
_USUAL = {"max_failure_rate": "5", "max_cost_ratio": "", "min_runs": "20", "window_minutes": "60"}


class Wish(NamedTuple):
    version: int
    percent: int
    guard: dict[str, Any] | None


@dataclass
class Planned:
    """A plan as it is shown."""

    title: str = ""
    deed: str = ""
    moves: str = ""
    shields: list[str] = field(default_factory=list)


def texts(guard: dict[str, Any] | None) -> dict[str, str]:
    """Return what stands in the guard's fields; `on` tells whether there is one."""
    if guard is None:
        return _USUAL | {"on": ""}
    shown = {name: "" if guard[name] is None else f"{guard[name]:g}" for name in _USUAL}
    if guard["max_failure_rate"] is not None:
        shown["max_failure_rate"] = f"{guard['max_failure_rate'] * 100:g}"
    return shown | {"on": "on"}


def read(form: dict[str, Any]) -> Wish:
    """Return what a form asks for. Raises `InvalidPercent`, `InvalidGuard`."""
    percent, version = str(form.get("percent", "")), str(form.get("version", ""))
    share = whole(percent)
    if share is None:
        raise InvalidPercent(percent=percent[:40] or "nothing", param="percent")
    guarded = "guarded" in form and 0 < share < 100
    return Wish(whole(version) or 0, share, {name: _bound(form, name) for name in _USUAL} if guarded else None)


def planned(wish: Wish, plan: Plan) -> Planned:
    """Return a plan in words."""
    share = "every smith" if wish.percent == 100 else f"{wish.percent} % of the smiths"
    title = f"Version {wish.version} for {share}" if wish.percent else f"Take version {wish.version} back"
    shields = []
    if plan.shielded_by_pin:
        shields.append(f"{counted(plan.shielded_by_pin, 'smith')} would move too, but stay on what they are pinned to.")
    for name, number in plan.shielded_by_override.items():
        whose = "its own value" if number == 1 else "their own values"
        shields.append(f"{label(name)}: {number:,} of those that move keep {whose}.")
    deed = "Make it live" if wish.percent == 100 else "Roll out" if wish.percent else "Take it back"
    return Planned(title, deed, _moving(plan.moves), shields)


def _moving(smiths: int) -> str:
    if not smiths:
        return "No smith runs another version than before."
    whose = "1 smith runs" if smiths == 1 else f"{smiths:,} smiths run"
    return f"{whose} another version from the next turn on."


def _bound(form: dict[str, Any], name: str) -> float | int | None:
    text = str(form.get(name, "")).strip()
    if not text:
        return None
    try:
        value = int(text) if name in _WHOLE else float(text)
    except ValueError:
        raise InvalidGuard(why=f"guard.{name}: {text[:40]} is no number", param=f"guard.{name}") from None
    return value / 100 if name in _PERCENTS else value
