"""What customers say whatever they bought: how they conclude, recommend, thank, digress.

phrases().verdicts[2]       # ("I [could not|couldn't] be happier", ...)
"""

from dataclasses import dataclass
from functools import cache

from starwise.practice.words import LEVELS, blocks, items

Levelled = dict[int, tuple[str, ...]]


@dataclass(frozen=True)
class Phrases:
    """Templates of `grammar`, those of an opinion by level from -2 (very bad) to 2 (very good)."""

    verdicts: Levelled  # the whole of it, in a sentence
    advice: Levelled  # would they come back, would they tell a friend
    more: Levelled  # what comes on top of an event of this level
    short: Levelled  # all that a person in a hurry types
    adjectives: Levelled  # stand before a noun and after "is" alike
    predicates: Levelled  # only after "is"
    smiles: Levelled
    turns: dict[str, tuple[str, ...]]  # "better" or "worse" than expected: the order tells which
    asides: tuple[str, ...]  # said in reviews of every kind alike, and telling nothing
    slots: dict[str, tuple[str, ...]]  # small slots that any template may use


@cache
def phrases() -> Phrases:
    """Return all of them (`words/phrases.txt`)."""
    table = blocks("phrases")

    def of(block: str, key: str) -> tuple[str, ...]:
        return tuple(text for found, text in table[block] if found == key)

    def levelled(block: str, listed: bool = False) -> Levelled:
        lines = {level: of(block, key) for key, level in LEVELS.items()}
        return {level: items(line[0]) for level, line in lines.items()} if listed else lines

    return Phrases(
        verdicts=levelled("verdicts"),
        advice=levelled("advice"),
        more=levelled("more"),
        short=levelled("short"),
        adjectives=levelled("adjectives", listed=True),
        predicates=levelled("predicates"),
        smiles=levelled("smiles", listed=True),
        turns={key: of("turns", key) for key in ("better", "worse")},
        asides=of("asides", "any"),
        slots={key: items(text) for key, text in table["slots"]},
    )
