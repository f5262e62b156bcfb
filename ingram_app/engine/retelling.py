"""Retelling: a model call that was lost half-way is made again; what watchers have heard is not said twice."""

from ingram_app.domain.frames import AnyFrame, MessageDelta, MessageRestarted

REASON = "The model call was interrupted and made again, and came out differently."


class Retelling:
    """Holds new words back for as long as they are those already said; tells watchers, when they are others."""

    def __init__(self, said: str) -> None:
        self._said = said
        self._told = ""
        self.differs = False

    def hear(self, delta: str) -> list[AnyFrame]:
        """Return what to say, now that the model has said `delta`."""
        if not self._said:
            return [MessageDelta(delta)]
        self._told += delta
        if self._said.startswith(self._told):
            return []
        if not self._told.startswith(self._said):
            return self._start_over()
        rest = self._told[len(self._said) :]
        self._said = ""
        return [MessageDelta(rest)]

    def end(self) -> list[AnyFrame]:
        """Return what to say, now that the model has ended: it may have said less this time."""
        return self._start_over() if self._said and self._said != self._told else []

    def _start_over(self) -> list[AnyFrame]:
        self._said, self.differs = "", True
        return [MessageRestarted(REASON), *([MessageDelta(self._told)] if self._told else [])]
