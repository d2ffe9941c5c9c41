"""From the journal of a crawl to its results: the table of reviews, and how much of each came back.

coverage = gather(journal, reviews_csv, guest, urls, language="en")
coverage[0].kept, coverage[0].announced

The journal is read twice, line by line: once for the order of its pages, once to write them. So
the memory this takes grows by a few bytes a review, not by the review.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starwise.collect.guest import Guest
from starwise.collect.journal import fact_at, located_facts
from starwise.language import language as language_of_text

COLUMNS = [
    "id",
    "comment",
    "rating",
    "url_website",
    "company_name",
    "company_website",
    "company_logo",
    "title",
    "date",
    "language",
]


@dataclass
class CompanyCoverage:
    """What came back of one company, and why not more: reviews, unless it says pages."""

    company_url: str
    company: str = ""  # "" while its first page did not come
    announced: int | None = None  # by the site; None where it does not say
    found: int = 0  # different ones that its pages showed
    kept: int = 0  # of these, rows of the table
    without_text: int = 0
    without_stars: int = 0  # none, or none that can be trusted
    other_language: int = 0
    elsewhere: int = 0  # kept already, at a company before this one
    pages: int = 0
    given_up: int = 0  # pages
    why: list[str] = field(default_factory=list)  # pages were given up, or the company was left


class Languages:
    """The language of each text that does not say it, found out while the crawl goes on."""

    def __init__(self, journal: Path) -> None:
        self.journal = journal
        self.read_to = 0
        self.found: dict[int, list[str]] = {}  # byte at which a page's line begins -> its cards'

    def catch_up(self) -> None:
        """Read what the journal has gained."""
        for begin, end, fact in located_facts(self.journal, self.read_to):
            self.read_to = end
            if "cards" in fact:
                self.found[begin] = [
                    said or (language_of_text(text) if text.strip() else "")
                    for _, text, _, _, _, said in fact["cards"]
                ]


def gather(
    journal: Path,
    path: Path,
    guest: Guest,
    urls: Sequence[str],
    language: str = "",
    languages: Languages | None = None,
) -> list[CompanyCoverage]:
    """Write the journal's reviews to the CSV file `path`, in the order of `urls` and their pages.

    `language` keeps reviews in that language only, and those too short to tell; "" keeps all. Of
    reviews with the same id the first stays. Returns the coverage of each company.
    """
    languages = languages or Languages(journal)
    languages.catch_up()
    companies = [CompanyCoverage(url) for url in urls]
    places, given_up = _order(journal)
    for (place, number), why in given_up.items():
        if (place, number) not in places:
            companies[place].given_up += 1
            companies[place].why.append(why)
    table = _Table(guest, language)
    with open(journal, "rb") as facts, open(path, "w", encoding="utf-8", newline="") as file:
        # Every text in quotes: line breaks inside a comment then survive as they are.
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow(COLUMNS)
        for (place, _), begin in sorted(places.items()):
            fact = fact_at(facts, begin)
            _count_page(companies[place], fact)
            writer.writerows(table.rows(fact, languages.found[begin], companies[place]))
    return companies


def _order(journal: Path) -> tuple[dict[tuple[int, int], int], dict[tuple[int, int], str]]:
    """Return where each page (place, number) stands, and why others were given up."""
    places: dict[tuple[int, int], int] = {}
    given_up: dict[tuple[int, int], str] = {}
    for begin, _, fact in located_facts(journal):
        key = fact["place"], fact["number"]
        if "cards" in fact:
            places.setdefault(key, begin)
        else:
            given_up[key] = fact["gave_up"]
    return places, given_up


def _count_page(company: CompanyCoverage, fact: dict[str, Any]) -> None:
    company.pages += 1
    company.company = company.company or fact["company"]
    if company.announced is None:
        company.announced = fact["announced"]
    if "left" in fact:
        company.why.append(fact["left"])


class _Table:
    """Turns pages into rows, each review once, and counts those that are none, and why."""

    def __init__(self, guest: Guest, language: str) -> None:
        self.guest, self.language = guest, language
        self.place_of: dict[str, int] = {}  # review id -> the company that had it first
        self.company: CompanyCoverage | None = None
        self.here: set[str] = set()  # review ids of the company at which we are

    def rows(
        self, fact: dict[str, Any], spoken: list[str], company: CompanyCoverage
    ) -> Iterator[list]:
        """Yield the rows of one page."""
        place = fact["place"]
        if company is not self.company:
            self.company, self.here = company, set()
        page = [
            self.guest.whole(fact["url"]),
            fact["company"],
            self.guest.whole(fact["website"]),
            self.guest.whole(fact["logo"]),
        ]
        for (id, text, stars, title, date, _), tongue in zip(fact["cards"], spoken, strict=True):
            if id in self.here:
                continue  # reviews move to the next page while we read
            self.here.add(id)
            company.found += 1
            if self.place_of.setdefault(id, place) != place:
                company.elsewhere += 1
            elif not text.strip():
                company.without_text += 1
            elif stars is None:
                company.without_stars += 1
            elif self.language and tongue not in (self.language, ""):
                company.other_language += 1
            else:
                company.kept += 1
                yield [id, text, stars, *page, title, date, tongue]
