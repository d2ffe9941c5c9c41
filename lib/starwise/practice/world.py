"""The practice site's world: companies and their reviews, made by rule from one seed.

world = make_world(seed=0)
world.reviews_of(world.companies[0].slug)[0].text
world.best_accuracy(balanced=True)      # what no classifier of the texts can beat
"""

import datetime
import math
import random
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from starwise.practice import names
from starwise.practice.catalogue import Line, categories, trades
from starwise.practice.telling import class_probabilities, draw_stars, live
from starwise.practice.writing import write

_FIRST_DAY = datetime.date(2022, 1, 1).toordinal()
_DAYS = 4 * 365
_SILENT = 0.01  # share of reviews with stars and no text


@dataclass(frozen=True)
class Company:
    """One company of the world; `slug` names it in addresses."""

    slug: str
    name: str
    website: str
    category: str
    sub_category: str
    tagline: str


@dataclass(frozen=True)
class Review:
    """One review; `text` may be "" (stars only).

    `class_probabilities` are P(bad), P(average), P(good) given all that the text tells; nan in a
    world made from a corpus.
    """

    id: str
    company: str
    rating: int
    title: str
    text: str
    author: str
    date: datetime.date
    class_probabilities: tuple[float, float, float]


@dataclass(frozen=True)
class World:
    """Categories (name to names of sub-categories), companies and reviews.

    `skipped` counts, by reason, the rows of a corpus that could not become reviews.
    """

    categories: dict[str, list[str]]
    companies: tuple[Company, ...]
    reviews: tuple[Review, ...]
    skipped: dict[str, int] = field(default_factory=dict)

    @cached_property
    def _by_company(self) -> dict[str, list[Review]]:
        found: dict[str, list[Review]] = {company.slug: [] for company in self.companies}
        for review in self.reviews:
            found[review.company].append(review)
        return found

    def reviews_of(self, slug: str) -> Sequence[Review]:
        """Return the reviews of one company. Raises KeyError for an unknown one.

        The newest come first; those of a corpus are in the order of its file.
        """
        return self._by_company[slug]

    def best_accuracy(self, balanced: bool = False, ids: Collection[str] | None = None) -> float:
        """Return the best accuracy that any reader of the texts can expect, 0 to 1.

        Reviews without text do not count; `ids` restricts to some reviews (a test split). Nan for
        a world made from a corpus, where nobody knows.

        Plain: the best guess is the likeliest class, right with its probability, so the mean of
        max P(class | told). With `balanced` the three classes weigh the same, as after drawing
        equally many reviews of each: a class with share s then counts 1 / (3 s), the best guess is
        the class with the largest P(class | told) / s, and the mean of that maximum, over 3, is
        its accuracy.
        """
        wanted = None if ids is None else set(ids)
        told = [
            review.class_probabilities
            for review in self.reviews
            if review.text and (wanted is None or review.id in wanted)
        ]
        if not told:
            return math.nan
        if not balanced:
            return sum(map(max, told)) / len(told)
        shares = [sum(column) / len(told) for column in zip(*told, strict=True)]
        return sum(max(p / share for p, share in zip(row, shares, strict=True)) for row in told) / (
            3 * len(told)
        )


def make_world(seed: int = 0, companies: int = 320, reviews: int = 24_000) -> World:
    """Return the world of this seed: the same on every machine, in a few seconds.

    With the defaults every sub-category has two companies or three, each company about 75
    reviews, few to several hundred. Raises ValueError unless 1 <= companies <= reviews.
    """
    if not 1 <= companies <= reviews:
        raise ValueError("A world needs at least one company, and a review for each.")
    rng = _random(seed)
    made = _companies(companies, rng)
    counts = _share_out(reviews, len(made), rng)
    seen: set[str] = set()
    found: list[Review] = []
    qualities = _qualities([line.trade for _, line in made], counts, rng)
    for (company, line), count, quality in zip(made, counts, qualities, strict=True):
        found += _reviews(company, line, count, quality, rng, seen)
    tree: dict[str, list[str]] = {}
    for company, _ in made:
        subs = tree.setdefault(company.category, [])
        if company.sub_category not in subs:
            subs.append(company.sub_category)
    return World(tree, tuple(company for company, _ in made), tuple(found))


def make_companies(seed: int = 0, companies: int = 320) -> tuple[Company, ...]:
    """Return the companies of `make_world` alone, which takes no time."""
    return tuple(company for company, _ in _companies(companies, _random(seed)))


def _random(seed: int) -> random.Random:
    # A text seed goes through SHA-512 in the standard library, not through hash().
    return random.Random(f"starwise {seed}")


def _companies(count: int, rng: random.Random) -> list[tuple[Company, Line]]:
    places = [(cat, sub, line) for cat, subs in categories().items() for sub, line in subs.items()]
    # Whole rounds over all sub-categories, then a random part of one more.
    wanted = places * (count // len(places)) + rng.sample(places, count % len(places))
    wanted.sort(key=places.index)
    slugs: set[str] = set()
    made = []
    for category, sub, line in wanted:
        name = names.company_name(sub, rng)
        while (slug := slug_of(name)) in slugs:
            name = names.company_name(sub, rng)
        slugs.add(slug)
        tagline = names.tagline(line.items, trades()[line.trade].firm, rng)
        website = f"https://www.{slug}.example"
        made.append((Company(slug, name, website, category, sub, tagline), line))
    return made


def slug_of(name: str) -> str:
    """Return a name as it stands in addresses: "Finch's Café & Bar" becomes "finchs-cafe-bar"."""
    plain = unicodedata.normalize("NFKD", name.replace("'", "")).encode("ascii", "ignore").decode()
    return "-".join(re.findall("[a-z0-9]+", plain.lower()))


def _share_out(total: int, parts: int, rng: random.Random) -> list[int]:
    """Return how many reviews each company has: at least one, unequal, `total` in all."""
    weights = [rng.lognormvariate(0, 0.7) for _ in range(parts)]
    spare, scale = total - parts, sum(weights)
    counts = [1 + int(spare * weight / scale) for weight in weights]
    for at in range(total - sum(counts)):
        counts[at % parts] += 1
    return counts


def _qualities(trades_of: list[str], counts: list[int], rng: random.Random) -> list[float]:
    """Return how good each company is, from about -2 to 2.

    The mean over the reviews of a trade is 0, so that speaking of rooms or of shoes says nothing
    of the stars: what a model learns here must be opinions, not things.
    """
    drawn = [rng.gauss(0, 0.7) for _ in counts]
    middle = {}
    for trade in dict.fromkeys(trades_of):
        own = [at for at, other in enumerate(trades_of) if other == trade]
        middle[trade] = sum(drawn[at] * counts[at] for at in own) / sum(counts[at] for at in own)
    return [one - middle[trade] for one, trade in zip(drawn, trades_of, strict=True)]


def _reviews(
    company: Company,
    line: Line,
    count: int,
    overall: float,
    rng: random.Random,
    seen: set[str],
) -> list[Review]:
    aspects = trades()[line.trade].aspects
    quality = {name: overall + rng.gauss(0, 0.8) for name in dict.fromkeys(aspects)}
    found = []
    for _ in range(count):
        told = live(quality, overall, aspects, rng)
        title, text = write(told, line, company.name, rng)
        for _ in range(8):
            if text not in seen:
                break
            title, text = write(told, line, company.name, rng)
        seen.add(text)
        silent = rng.random() < _SILENT
        found.append(
            Review(
                id=f"{rng.getrandbits(64):016x}",
                company=company.slug,
                rating=draw_stars(told.score, rng),
                title="" if silent else title,
                text="" if silent else text,
                author=names.author(rng),
                date=datetime.date.fromordinal(_FIRST_DAY + int(rng.random() * _DAYS)),
                class_probabilities=class_probabilities(told.score),
            )
        )
    return sorted(found, key=lambda review: (review.date, review.id), reverse=True)
