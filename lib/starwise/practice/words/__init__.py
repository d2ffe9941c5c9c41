"""The vocabulary of the practice world: tables of templates, and the one reader of their format.

A table is blocks that start with `@name`; every other line is a key, a space and its text.

    blocks("aspects")["delivery"]   # [("names", "the delivery; ..."), ("++", "it came ..."), ...

The keys `++ + 0 - --` are levels of an opinion, 2 to -2 (`LEVELS`). Every sentence is our own; the
templates are those of `grammar`.
"""

from functools import cache
from importlib.resources import files

LEVELS = {"++": 2, "+": 1, "0": 0, "-": -1, "--": -2}


@cache
def blocks(table: str) -> dict[str, list[tuple[str, str]]]:
    """Return a table's blocks by name, each a list of (key, text)."""
    text = files(__name__).joinpath(f"{table}.txt").read_text(encoding="utf-8")
    found: dict[str, list[tuple[str, str]]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("@"):
            rows = found[line[1:]] = []
        else:
            key, _, rest = line.partition(" ")
            rows.append((key, rest))
    return found


def items(text: str) -> tuple[str, ...]:
    """Return the parts of a text that semicolons separate."""
    return tuple(part.strip() for part in text.split(";"))
