"""Trustpilot's pages, as they have been since 2019.

The same facts stand on a page several times: in the data that it is drawn from, in the summary for
search engines, in the attributes of its elements. Each of these is a source (a small object beside
this module); the first that fits is read, and where it lacks a fact of the company the others are
asked for it. The reviews come from one source, so that a text and its stars stay together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from parsel import Selector

from starwise.collect.errors import LayoutError
from starwise.collect.layouts.page import Card, CompanyList, ReviewPage, SubCategory
from starwise.collect.layouts.trustpilot_2019 import Pages2019
from starwise.collect.layouts.trustpilot_attributes import Attributes
from starwise.collect.layouts.trustpilot_data import NextData
from starwise.collect.layouts.trustpilot_summary import Summary


class Source(Protocol):
    """One place of a page in which facts stand. `page` is the parsed page, `url` its address."""

    name: str
    drawn: str  # CSS selector of what it reads in a list of companies, "" when it reads none
    named: str  # where it looks for the company's name
    reviewed: str  # where it looks for reviews

    def company(self, page: Selector, url: str) -> dict[str, object]:
        """Return what is known of name, website, logo, announced and next_url; never raises."""

    def cards(self, page: Selector, url: str) -> list[Card]:
        """Return the reviews; raises LayoutError when this is no page of reviews."""

    def sub_categories(self, page: Selector, url: str) -> list[SubCategory]: ...

    def company_list(self, page: Selector, url: str) -> CompanyList: ...


@dataclass(frozen=True)
class TrustpilotLayout:
    """Reads pages of www.trustpilot.com through the first of its sources that fits."""

    name: str = "trustpilot"
    # The pages of 2019 have marks that no other year has, so they are known before the summary,
    # which says less.
    sources: Sequence[Source] = (NextData(), Pages2019(), Summary(), Attributes())
    home: str = "https://www.trustpilot.com"

    @property
    def companies_drawn(self) -> str:
        return ", ".join(source.drawn for source in self.sources if source.drawn)

    def categories_url(self, home: str) -> str:
        return f"{home}/categories"

    def sub_categories(self, html: str, url: str) -> list[SubCategory]:
        page = Selector(html)
        return self._first(url, lambda source: source.sub_categories(page, url))[1]

    def company_list(self, html: str, url: str) -> CompanyList:
        page = Selector(html)
        return self._first(url, lambda source: source.company_list(page, url))[1]

    def review_page(self, html: str, url: str) -> ReviewPage:
        """Read a company's reviews; raises LayoutError where no source has any, or no name."""
        page = Selector(html)
        read, cards = self._first(url, lambda source: source.cards(page, url))
        facts: dict[str, object] = {}
        for source in (read, *(other for other in self.sources if other is not read)):
            for name, value in source.company(page, url).items():
                # "" is an answer to "which page is next", and no answer to "which logo".
                known = name in facts if name == "next_url" else facts.get(name) not in (None, "")
                if not known and value is not None:
                    facts[name] = value
        if not facts.get("name"):
            raise self._lacks(url, "named")
        # Without its end a page would pass for the last one of its company.
        goes_on = "next_url" in facts or (facts.get("announced") or 0) <= len(cards)
        if not goes_on and "</html" not in html[-1000:].lower():
            raise LayoutError(url, "</html>, the end of it", read.name)
        # A page may be without reviews, but then it says so.
        if not cards and facts.get("announced") != 0:
            raise self._lacks(url, "reviewed")
        return ReviewPage(
            company=str(facts["name"]),
            website=str(facts.get("website") or ""),
            logo=str(facts.get("logo") or ""),
            announced=facts.get("announced"),
            cards=cards,
            next_url=str(facts.get("next_url") or ""),
        )

    def _lacks(self, url: str, what: str) -> LayoutError:
        tried = [LayoutError(url, getattr(one, what), one.name) for one in self.sources]
        return LayoutError.of_all(url, tried)

    def _first(self, url: str, read: Callable):
        """Return the first source that fits, and what it read."""
        errors = []
        for source in self.sources:
            try:
                return source, read(source)
            except LayoutError as error:
                errors.append(error)
        raise LayoutError.of_all(url, errors)
