"""What there is to review: categories, sub-categories, and the trades of their companies.

A trade says how its customers speak ("eat here again", "fly with them again") and which aspects
they judge; a sub-category is a trade with its own things ("mattress", "mattresses").

    categories()["Home & Furniture"]["Mattresses"]      # Line('shop', 'mattress', 'mattresses')
    trades()["shop"].aspects                            # ('delivery', 'price', ...)
"""

from dataclasses import dataclass
from functools import cache

from starwise.practice.words import blocks


@dataclass(frozen=True)
class Trade:
    """How customers of one kind of company speak; each text is a template for `grammar`."""

    firm: str  # what the company calls itself in a slogan: "publisher"
    place: str  # what customers call it, or what they bought: "[shop|store]", "[book|read]"
    this: str  # "this hotel"
    again: str  # infinitive: "stay here"
    elsewhere: str  # infinitive: "book elsewhere"
    person: str  # who serves them
    openings: tuple[str, ...]  # how they begin, telling nothing of how it was
    details: tuple[str, ...]  # what it was about, telling as little
    aspects: tuple[str, ...]  # those often spoken of more than once


@dataclass(frozen=True)
class Line:
    """A sub-category: its trade and what is sold or served there."""

    trade: str
    item: str
    items: str


@cache
def trades() -> dict[str, Trade]:
    """Return every trade by its name (`words/trades.txt`)."""
    found = {}
    for name, rows in blocks("trades").items():
        texts = dict(rows)
        aspects = tuple(texts.pop("aspects").split())
        openings = tuple(text for key, text in rows if key == "opening")
        details = tuple(text for key, text in rows if key == "detail")
        single = {key: text for key, text in texts.items() if key not in ("opening", "detail")}
        found[name] = Trade(**single, openings=openings, details=details, aspects=aspects)
    return found


@cache
def categories() -> dict[str, dict[str, Line]]:
    """Return categories, each with its sub-categories (`words/catalogue.txt`)."""
    found: dict[str, dict[str, Line]] = {}
    for category, rows in blocks("catalogue").items():
        subs = found[category] = {}
        for row in rows:
            name, _, things = " ".join(row).partition(": ")
            subs[name] = Line(*things.split(", "))
    return found
