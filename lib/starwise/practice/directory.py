"""Where everything of a world lies on the practice site: addresses, lists, star counts.

directory = Directory(world)
directory.sub_categories["book-shops"].companies
"""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field

from starwise.practice.world import Company, World

# What the site calls each number of stars, as review sites do.
STAR_WORDS = {1: "Bad", 2: "Poor", 3: "Average", 4: "Great", 5: "Excellent"}


def slugify(name: str) -> str:
    """Return `name` as it stands in an address: "Home & Garden" becomes "home-garden"."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "other"


@dataclass(frozen=True)
class Standing:
    """How a company stands: the number of its reviews for 1 to 5 stars."""

    stars: tuple[int, int, int, int, int]

    @property
    def count(self) -> int:
        return sum(self.stars)

    @property
    def mean(self) -> float:
        """The mean number of stars, 0 for a company without reviews."""
        total = sum(stars * number for stars, number in enumerate(self.stars, start=1))
        return total / self.count if self.count else 0.0

    @property
    def rounded(self) -> int:
        """The mean as whole stars, for its picture (1 to 5, 0 without reviews)."""
        return int(self.mean + 0.5)

    @property
    def shares(self) -> list[tuple[int, int, float]]:
        """(stars, number, percent) from five stars down to one."""
        return [
            (stars, number, 100 * number / max(1, self.count))
            for stars, number in reversed(list(enumerate(self.stars, start=1)))
        ]


@dataclass
class SubCategory:
    """One list of companies and its address."""

    slug: str
    name: str
    category: str
    companies: list[Company] = field(default_factory=list)


class Directory:
    """A world by address: `sub_categories`, `companies` and `standings` by slug."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sub_categories: dict[str, SubCategory] = {}
        # category -> its sub-categories, in the world's order
        self.categories: dict[str, list[SubCategory]] = {}
        places: dict[tuple[str, str], SubCategory] = {}
        for category, names in world.categories.items():
            self.categories[category] = []
            for name in names:
                place = SubCategory(self._free_slug(category, name), name, category)
                self.sub_categories[place.slug] = places[category, name] = place
                self.categories[category].append(place)
        self.companies = {company.slug: company for company in world.companies}
        for company in world.companies:
            places[company.category, company.sub_category].companies.append(company)
        self.standings = {slug: _standing(world, slug) for slug in self.companies}

    def _free_slug(self, category: str, name: str) -> str:
        slug = slugify(name)
        if slug in self.sub_categories:
            slug = f"{slugify(category)}-{slug}"
        while slug in self.sub_categories:
            slug += "-2"
        return slug

    def place_of(self, company: Company) -> SubCategory:
        """Return the sub-category in which `company` is listed."""
        return next(
            place
            for place in self.categories[company.category]
            if place.name == company.sub_category
        )


def _standing(world: World, slug: str) -> Standing:
    numbers = Counter(review.rating for review in world.reviews_of(slug))
    return Standing(tuple(numbers[stars] for stars in range(1, 6)))
