"""What customers judge, aspect by aspect: how people speak of delivery, rooms, crew, plot, fees.

aspects()["delivery"].clauses[2]    # ('it [came|arrived] [a day|two days] early', ...)
"""

from dataclasses import dataclass
from functools import cache

from starwise.practice.words import LEVELS, blocks, items


@dataclass(frozen=True)
class Aspect:
    """The words for one thing that customers judge; all are templates of `grammar`.

    `names` take a verb ("the rooms+" is plural), `bare` are for headlines ("rooms"). `adjectives`
    follow "is" and `clauses` stand for themselves, in lower case and without a full stop; both are
    by level, from -2 (very bad) to 2 (very good).
    """

    names: tuple[str, ...]
    bare: tuple[str, ...]
    adjectives: dict[int, tuple[str, ...]]
    clauses: dict[int, tuple[str, ...]]


@cache
def aspects() -> dict[str, Aspect]:
    """Return every aspect by its name (`words/aspects.txt`)."""
    return {name: _read(rows) for name, rows in blocks("aspects").items()}


def _read(rows: list[tuple[str, str]]) -> Aspect:
    lists = {key: items(text) for key, text in rows if key not in LEVELS}
    return Aspect(
        names=lists["names"],
        bare=lists["bare"],
        adjectives={level: lists[f"adj{key}"] for key, level in LEVELS.items()},
        clauses={
            level: tuple(text for key, text in rows if key == sign)
            for sign, level in LEVELS.items()
        },
    )
