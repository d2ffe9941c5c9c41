"""Invented names: of companies, their slogans, and the people who write (`words/names.txt`).

company_name("Sofas", rng)      # 'Oakmere Sofas', 'Finch & Vale', ...
"""

import random
from functools import cache

from starwise.practice.grammar import expand, pick
from starwise.practice.words import blocks, items


@cache
def _words(key: str) -> tuple[str, ...]:
    rows = [row for block in blocks("names").values() for row in block]
    return tuple(word for found, text in rows if found == key for word in items(text))


def company_name(sub_category: str, rng: random.Random) -> str:
    """Return an invented name for a company of this sub-category."""
    kind = rng.random()
    place = place_name(rng)
    if kind < 0.35:
        return f"{place} {sub_category.split(' & ')[0]}"
    if kind < 0.55:
        return f"{pick(_words('surname'), rng)} & {pick(_words('surname'), rng)}"
    if kind < 0.75:
        return f"{pick(_words('whim'), rng)} {sub_category.split(' & ')[0]}"
    if kind < 0.9:
        return f"{pick(_words('surname'), rng)}'s {sub_category.split(' & ')[-1]}"
    return place


def tagline(things: str, firm: str, rng: random.Random) -> str:
    """Return a company's one-line slogan; `things` is what it sells, in the plural."""
    values = {"items": things, "place": firm, "year": str(50 + int(rng.random() * 49))}
    line = expand(pick(_words("slogan"), rng), {}, values, rng)
    return line[0].upper() + line[1:]


def author(rng: random.Random) -> str:
    """Return a first name with an initial, as reviewers sign."""
    return f"{pick(_words('first'), rng)} {pick('ABCDEFGHIJKLMNOPRSTVWYZ', rng)}."


def place_name(rng: random.Random) -> str:
    """Return an invented name that tells nothing of the trade: "Oakmere"."""
    return pick(_words("front"), rng) + pick(_words("back"), rng)
