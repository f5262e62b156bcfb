"""Retrieval: is the fact that answers among the five that a search finds, beside a hundred that do not?

Every smith holds its own facts and the same chaff. A question about an update or a contradiction is answered if the new
fact is found and the old one is not. One about what was never told is answered by nothing: it counts when nothing of
another smith's is found, who may well know. That nobody knows, a search can not tell: it always finds something.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.memory.dialogues import KINDS, Dialogue, Question
from ingram_app.core.database import transaction
from ingram_app.domain import memories, recalling, smiths
from ingram_app.domain.access import Caller
from ingram_app.domain.memories import Fact

AT = 5


@dataclass
class Tally:
    asked: int = 0
    found: int = 0
    """Among the first five."""
    first: int = 0

    def count(self, place: int | None) -> None:
        """Count a question whose fact was found at this place, from 0, or not at all."""
        self.asked += 1
        self.found += place is not None
        self.first += place == 0


async def measure(caller: Caller, people: Sequence[Dialogue], chaff: Sequence[str]) -> dict[str, Tally]:
    """Return how many questions were answered, by kind, and then by whether the facts are in English."""
    tallies: dict[str, Tally] = defaultdict(Tally, {kind: Tally() for kind in KINDS})
    known = [await _told(caller, person, chaff) for person in people]
    for person, (smith_id, ids) in zip(people, known, strict=True):
        for question in person.questions:
            found = [one.id for one in await recalling.facts(caller, smith_id, question.words, AT)]
            place = _place(question, found, ids)
            history = {ids[fact.replaces] for fact in person.facts if fact.replaces}
            if history & set(found):
                place = None
            tallies[question.kind].count(place)
            if question.fact:
                tallies["English facts" if person.language == "en" else "facts in other languages"].count(place)
    return tallies


async def _told(caller: Caller, person: Dialogue, chaff: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Make a smith that holds what a person told; return its id, and those of its facts by name or words."""
    ids: dict[str, str] = {}
    async with transaction(caller.tenancy) as session:
        clone, _ = await smiths.create(session, caller, {"external_id": person.who})
        smith_id = clone.smith.id
        for words in chaff:
            fact, _ = await memories.write(session, caller, smith_id, Fact(words))
            ids[words] = fact.id
        for held in person.facts:
            older = ids[held.replaces] if held.replaces else None
            fact, _ = await memories.write(session, caller, smith_id, Fact(held.words), supersedes=older)
            ids[held.name] = fact.id
    return smith_id, ids


def _place(question: Question, found: list[str], ids: dict[str, str]) -> int | None:
    if not question.fact:
        return 0 if set(found) <= set(ids.values()) else None
    gold = ids[question.fact]
    return found.index(gold) if gold in found else None
