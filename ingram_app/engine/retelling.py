"""Retelling: a model call that was lost half-way is made again; what watchers have heard is not said twice."""

from ingram_app.domain.frames import AnyFrame, MessageDelta, MessageRestarted

REASON = "The model call was interrupted and made again, and came out differently."


class Retelling:
    """Holds new words back for as long as they are those already said; tells watchers, when they are others."""

    def __init__(self, said: str, *, differs: bool = False) -> None:
        self._said = said
        self._told: list[str] = []
        self.differs = differs

    @property
    def heard(self) -> str:
        """The words that watchers have of this message by now."""
        return self._said or "".join(self._told)

    def hear(self, delta: str) -> list[AnyFrame]:
        """Return what to say, now that the model has said `delta`."""
        self._told.append(delta)
        if not self._said:
            return [MessageDelta(delta)]
        told = "".join(self._told)
        if self._said.startswith(told):
            return []
        if not told.startswith(self._said):
            return self._start_over()
        rest = told[len(self._said) :]
        self._said = ""
        return [MessageDelta(rest)]

    def end(self) -> list[AnyFrame]:
        """Return what to say, now that the model has ended: it may have said less this time."""
        return self._start_over() if self._said and self._said != "".join(self._told) else []

    def _start_over(self) -> list[AnyFrame]:
        self._said, self.differs = "", True
        return [MessageRestarted(REASON), *([MessageDelta(self.heard)] if self.heard else [])]
