"""The practice site's world made from your own reviews instead of invented ones.

    world = world_from_corpus("reviews.csv", limit=20_000)
    world.skipped       # {"rating is not 1, 2, 3, 4 or 5": 2}

Rows without a company are spread over invented ones, so that the site can be browsed; what the
best possible accuracy is, nobody knows (`best_accuracy` is nan).
"""

import datetime
import hashlib
import math
import random
from pathlib import Path

import pandas as pd

from starwise.corpus import read_rows, review_ids
from starwise.practice import names
from starwise.practice.world import Company, Review, World, slug_of

_PER_COMPANY = 60  # reviews, about, of a company invented for rows that name none
_PER_SUB = 40  # companies, at most, of one sub-category: the list stays easy to read
_NO_DATE = datetime.date(2024, 1, 1)
_UNKNOWN = (math.nan, math.nan, math.nan)


def world_from_corpus(path: str | Path, limit: int = 0, seed: int = 0) -> World:
    """Return a world of the reviews in a CSV or parquet file.

    The file has a column of texts and one of stars; company, title, category, date and author are
    used where there. `limit` reads the first rows only (0: all); `seed` names the invented
    companies. Raises CorpusError, in a sentence, for a file that cannot be used.
    """
    rows, skipped = read_rows(Path(path), limit)
    for name in ("company", "category", "title", "author", "date"):
        if name not in rows:
            rows[name] = ""
    rows["category"] = rows["category"].str.strip().str.capitalize().replace("", "Reviews")
    _invent_companies(rows, seed)
    companies = _companies(rows)
    slugs = {(company.category, company.name): company.slug for company in companies}
    ids = review_ids(rows)
    dates = _dates(rows["date"])
    reviews = [
        Review(key, slugs[category, company], rating, title, text, author, date, _UNKNOWN)
        for key, category, company, rating, title, text, author, date in zip(
            ids,
            *(rows[name].tolist() for name in ("category", "company", "rating", "title", "text")),
            rows["author"].replace("", "A customer").tolist(),
            dates,
            strict=True,
        )
    ]
    tree: dict[str, list[str]] = {}
    for company in companies:
        subs = tree.setdefault(company.category, [])
        if company.sub_category not in subs:
            subs.append(company.sub_category)
    return World(tree, tuple(companies), tuple(reviews), skipped)


def _invent_companies(rows: pd.DataFrame, seed: int) -> None:
    """Give each row without a company an invented one, chosen by its text: the same every time."""
    for category, group in rows[rows["company"] == ""].groupby("category", sort=True):
        rng = random.Random(f"corpus {seed} {category}")
        count = max(1, round(len(group) / _PER_COMPANY))
        made: dict[str, None] = {}
        while len(made) < count:
            made[names.place_name(rng) if len(made) < 300 else f"Company {len(made) + 1}"] = None
        options = list(made)
        # A hash of the text, so that a review keeps its company when rows come or go.
        marks = pd.util.hash_array(group["text"].to_numpy(dtype=object)) % count
        rows.loc[group.index, "company"] = [options[mark] for mark in marks]


def _companies(rows: pd.DataFrame) -> list[Company]:
    """Return the companies of all rows, in categories and, where many, in sub-categories."""
    found = []
    taken: set[str] = set()
    pairs = rows[["category", "company"]].drop_duplicates().sort_values(["category", "company"])
    for category, group in pairs.groupby("category", sort=True):
        ordered = sorted(group["company"], key=lambda name: (name.lower(), name))
        for at, name in enumerate(ordered):
            block = ordered[at // _PER_SUB * _PER_SUB : (at // _PER_SUB + 1) * _PER_SUB]
            sub = f"All of {category}" if len(ordered) <= _PER_SUB else _span(block, at // _PER_SUB)
            slug = _free_slug(name, taken)
            website = f"https://www.{slug}.example"
            found.append(Company(slug, name, website, category, sub, ""))
    return found


def _span(block: list[str], number: int) -> str:
    """Return the name of an alphabetical block: "3: Harbour ... Ivory"."""
    return f"{number + 1}: {block[0][:24].strip()} ... {block[-1][:24].strip()}"


def _free_slug(name: str, taken: set[str]) -> str:
    base = slug_of(name)[:60].strip("-")
    if not base:  # a name without a Latin letter
        base = "company-" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
    slug, number = base, 2
    while slug in taken:
        slug, number = f"{base}-{number}", number + 1
    taken.add(slug)
    return slug


def _dates(column: pd.Series) -> list[datetime.date]:
    known = {
        text: _NO_DATE if stamp is pd.NaT else stamp.date()
        for text in column.unique()
        for stamp in [pd.to_datetime(text, errors="coerce", utc=True)]
    }
    return [known[text] for text in column.tolist()]
