"""The purse of one run: what budgets let it ask next.

Before each model call budgets admit it, or the run fails; or they ask for a cheaper model, which is then asked first
for as long as they do. A run that was just born has been admitted when it was taken in.
"""

from ingram_app.core.database import transaction
from ingram_app.domain import leases, spending
from ingram_app.domain.leases import Lease
from ingram_app.domain.runs import Run
from ingram_app.engine.asking import Asking
from ingram_app.engine.candidates import Warn
from ingram_app.engine.standing import Standing
from ingram_app.gateways.providers import ModelKeyMissing, UnknownProvider


class Purse:
    """Asks budgets before the run asks a model."""

    def __init__(self, run: Run, lease: Lease, standing: Standing, asking: Asking, warn: Warn) -> None:
        self._run = run
        self._lease = lease
        self._asking = asking
        self._warn = warn
        self._prices = standing.prices
        self._is_admitted, self._degraded_by = standing.admitted, standing.degraded_by
        self.budgeted = standing.budgeted
        self.told: dict[str, str] = {}
        """What is written down of it beside an answer, for the run's trace."""

    async def open(self, tokens: int) -> None:
        """Have budgets admit a model call of about so many tokens. Raises `BudgetExceeded`, `LeaseLost`."""
        if not self._is_admitted:
            model, settings = self._asking.models[0], self._run.config["model_settings"]
            micros = spending.estimate(model, tokens, settings, self._prices.get(model))
            async with transaction(self._lease.tenancy) as session:
                self._degraded_by = await leases.reserve(session, self._lease, micros)
        self._is_admitted = False
        self.told = {}
        if self._degraded_by is None:
            await self._asking.prefer(self._run.model)
        else:
            await self._degrade(self._degraded_by)

    async def _degrade(self, budget_id: str) -> None:
        """Have the cheaper model asked; if there is none that can be reached, say so."""
        cheaper: str | None = self._run.config.get("cheaper_model")
        if cheaper is None:
            self._warn("cheaper_model_missing", f"The budget {budget_id} is used up, and there is no cheaper model.")
            return
        try:
            await self._asking.prefer(cheaper)
        except (ModelKeyMissing, UnknownProvider) as unreachable:
            self._warn("cheaper_model_unreachable", unreachable.sentence)
            return
        self.told = {"degraded_by": budget_id}
        self._warn("budget_degraded", f"The budget {budget_id} is used up: {cheaper} is asked, not {self._run.model}.")
