"""What the administrator asks about the stored reviews, as parametrised questions to the database.

filters = Filters.of({"brand": "bright", "stars": ["4", "5"]})
rows = store.read(lambda connection: page(connection, filters, limit=25))
agreement = store.read(lambda connection: agreement(connection, filters))

Days are days in UTC.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import ColumnElement, Connection, Date, and_, cast, func, select, tuple_

from starwise.errors import StarwiseError
from starwise.schema import overruled, reviews
from starwise.store import NEWEST_FIRST, PLACE, StoredReview

LONGEST = 200  # characters of a brand or of words that are looked for
STARS = range(1, 6)


class FilterError(StarwiseError):
    """What was asked for cannot be looked for; the message says what to change."""


@dataclass(frozen=True)
class Filters:
    """Which reviews are meant: those that fit everything that is given."""

    brand: str = ""  # a part of the brand's name
    words: str = ""  # each of them is somewhere in the text
    stars: tuple[int, ...] = ()  # that the visitor chose; empty: any
    since: date | None = None
    until: date | None = None  # that day included
    overruled: bool = False  # only where the visitor chose other stars than were suggested

    @classmethod
    def of(cls, given: Mapping[str, Sequence[str]]) -> "Filters":
        """Read the fields of an address; what is empty or missing does not filter."""

        def last(name: str) -> str:
            return (given.get(name) or [""])[-1].strip()

        for name in ("brand", "words"):
            if len(last(name)) > LONGEST or "\x00" in last(name):
                raise FilterError(f"Look for at most {LONGEST} characters, and no NUL among them.")
        stars = sorted(set(filter(None, given.get("stars") or [])))
        if not set(stars) <= set(map(str, STARS)):
            raise FilterError("Stars are whole numbers from 1 to 5.")
        return cls(
            brand=last("brand"),
            words=last("words"),
            stars=tuple(map(int, stars)),
            since=_day(last("since")),
            until=_day(last("until")),
            overruled=bool(last("overruled")),
        )

    def __bool__(self) -> bool:
        return self != Filters()

    def query(self, **more: str) -> str:
        """Return the filters as a part of an address, as `of` reads it."""
        fields: list[tuple[str, object]] = [(name, getattr(self, name)) for name in _PLAIN]
        fields += [("stars", star) for star in self.stars]
        fields += [("overruled", 1 if self.overruled else "")]
        return urlencode([pair for pair in [*fields, *more.items()] if pair[1]])

    def any_verdict(self) -> "Filters":
        """Return the same without the question whether the visitor overruled the suggestion."""
        return replace(self, overruled=False)

    def condition(self) -> ColumnElement[bool]:
        wanted = [reviews.c.id.is_not(None)]  # always true: there may be nothing else
        if self.brand:
            wanted.append(reviews.c.brand.icontains(self.brand, autoescape=True))
        wanted += [reviews.c.review.icontains(word, autoescape=True) for word in self.words.split()]
        if self.stars:
            wanted.append(reviews.c.rating.in_(self.stars))
        if self.since:
            wanted.append(reviews.c.created_at >= _midnight(self.since))
        if self.until:
            wanted.append(reviews.c.created_at < _midnight(self.until + timedelta(days=1)))
        if self.overruled:
            wanted.append(overruled)
        return and_(*wanted)


_PLAIN = ("brand", "words", "since", "until")


def _day(given: str) -> date | None:
    if not given:
        return None
    try:
        day = date.fromisoformat(given)
    except ValueError:
        day = date.min
    if not 1970 <= day.year <= 9000:
        raise FilterError("Give days as year-month-day, such as 2026-11-24.")
    return day


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


@dataclass(frozen=True)
class Place:
    """Where a review stands among the others. It stays one when that review is deleted."""

    created_at: datetime
    id: uuid.UUID

    @classmethod
    def of(cls, row: StoredReview) -> "Place":
        return cls(row.created_at, row.id)

    @classmethod
    def read(cls, given: str) -> "Place":
        """Return what `str` wrote. Raises `FilterError` for anything else."""
        moment, _, id = given.partition("_")
        try:
            place = cls(datetime.fromisoformat(moment), uuid.UUID(id))
        except ValueError:
            place = None
        if place is None or not (place.created_at.tzinfo and 1970 <= place.created_at.year <= 9000):
            raise FilterError("There is no such page: start from the first one.")
        return place

    def __str__(self) -> str:
        return f"{self.created_at.astimezone(UTC).isoformat()}_{self.id}"


def page(
    connection: Connection, filters: Filters, limit: int, after: Place | None = None
) -> list[StoredReview]:
    """Return up to `limit` reviews, newest first, that come after a place."""
    query = select(reviews).where(filters.condition()).order_by(*NEWEST_FIRST).limit(limit)
    if after is not None:
        query = query.where(tuple_(after.created_at, after.id) > PLACE)
    return [StoredReview.of(row) for row in connection.execute(query)]


def count(connection: Connection, filters: Filters) -> int:
    """Return how many reviews there are."""
    query = select(func.count()).select_from(reviews).where(filters.condition())
    return connection.execute(query).scalar_one()


def brands(connection: Connection, limit: int = 100) -> list[str]:
    """Return the names that most reviews are about, for the field that asks for one."""
    query = select(reviews.c.brand).group_by(reviews.c.brand).order_by(func.count().desc())
    return list(connection.execute(query.limit(limit)).scalars())


@dataclass(frozen=True)
class Agreement:
    """How the stars that visitors chose stand to those that the model suggested."""

    table: dict[tuple[int, int], int]  # (suggested, chosen): reviews
    unscored: int  # reviews to which no model suggested anything

    @cached_property
    def scored(self) -> int:
        return sum(self.table.values())

    @cached_property
    def steps(self) -> dict[int, int]:
        """Reviews by how many stars more (or less) the visitor chose, from -4 to 4."""
        steps = dict.fromkeys(range(-4, 5), 0)
        for (suggested, chosen), number in self.table.items():
            steps[chosen - suggested] += number
        return steps

    @cached_property
    def overruled(self) -> int:
        return self.scored - self.steps[0]

    @cached_property
    def share(self) -> float:
        """Overruled suggestions among all, 0 to 1."""
        return self.overruled / self.scored if self.scored else 0.0

    @cached_property
    def mean_step(self) -> float:
        """Stars that visitors add to a suggestion, on average; negative: they take away."""
        total = sum(step * number for step, number in self.steps.items())
        return total / self.scored if self.scored else 0.0

    @cached_property
    def mean_distance(self) -> float:
        """Stars by which an overruled suggestion is changed, up or down, on average."""
        total = sum(abs(step) * number for step, number in self.steps.items())
        return total / self.overruled if self.overruled else 0.0


def agreement(connection: Connection, filters: Filters) -> Agreement:
    """Compare chosen with suggested stars, also where they are the same."""
    number = func.count()
    query = (
        select(reviews.c.suggested_rating, reviews.c.rating, number)
        .where(filters.any_verdict().condition())
        .group_by(reviews.c.suggested_rating, reviews.c.rating)
    )
    found = [tuple(row) for row in connection.execute(query)]
    return Agreement(
        {(suggested, chosen): n for suggested, chosen, n in found if suggested is not None},
        sum(n for suggested, _, n in found if suggested is None),
    )


@dataclass(frozen=True)
class BrandAgreement:
    """How often the suggestions for one brand were overruled."""

    brand: str
    scored: int
    overruled: int
    mean_step: float  # stars


def agreement_by_brand(
    connection: Connection, filters: Filters, limit: int = 10
) -> list[BrandAgreement]:
    """Return the brands where most suggestions were overruled."""
    number, changed = func.count(), func.count().filter(overruled)
    step = func.avg(reviews.c.rating - reviews.c.suggested_rating)
    query = (
        select(reviews.c.brand, number, changed, step)
        .where(filters.any_verdict().condition(), reviews.c.suggested_rating.is_not(None))
        .group_by(reviews.c.brand)
        .having(changed > 0)
        .order_by(changed.desc(), number, reviews.c.brand)
        .limit(limit)
    )
    return [
        BrandAgreement(brand, scored, changes, float(mean))
        for brand, scored, changes, mean in connection.execute(query)
    ]


@dataclass(frozen=True)
class Day:
    """The reviews of one day, by the class of their chosen stars."""

    day: date
    bad: int = 0
    average: int = 0
    good: int = 0

    @property
    def all(self) -> int:
        return self.bad + self.average + self.good


def volume(connection: Connection, filters: Filters, today: date, days: int = 60) -> list[Day]:
    """Return every day of the last `days` that the filters leave, the oldest first."""
    last = min(filters.until or today, today)
    first = max(filters.since or date.min, last - timedelta(days=days - 1))
    if first > last:
        return []
    day: Any = cast(func.timezone("UTC", reviews.c.created_at), Date)
    stars = reviews.c.rating
    query = (
        select(
            day,
            func.count().filter(stars <= 2),
            func.count().filter(stars == 3),
            func.count().filter(stars >= 4),
        )
        .where(replace(filters, since=first, until=last).condition())
        .group_by(day)
    )
    found = {row[0]: Day(*row) for row in connection.execute(query)}
    every = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [found.get(day, Day(day)) for day in every]
