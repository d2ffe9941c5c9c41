"""What a layout reads from a page, whatever the site."""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class SubCategory:
    """A list of companies: its names and its address."""

    category: str
    name: str
    url: str


@dataclass(frozen=True)
class CompanyList:
    """One page of a list of companies: their addresses, and the next page ("" at the end)."""

    urls: list[str]
    next_url: str = ""


@dataclass(frozen=True)
class Card:
    """One review as its card shows it.

    Everything comes from the same card. `stars` is None when the card shows none, or none that
    can be trusted ("4,5", or two ratings); `text` is "" for a review of stars only.
    """

    id: str
    text: str
    stars: int | None
    title: str = ""
    date: str = ""  # ISO, "" when the card has none
    language: str = ""  # ISO 639-1 as the site says, "" when it does not


@dataclass(frozen=True)
class ReviewPage:
    """One page of a company's reviews."""

    company: str
    website: str
    logo: str
    announced: int | None  # how many reviews the site says the company has, None if it does not
    cards: list[Card] = field(default_factory=list)
    next_url: str = ""


class Layout(Protocol):
    """What one site's pages look like. Every reading raises LayoutError for a foreign page."""

    name: str
    home: str  # address of the site, "" when it may lie anywhere
    companies_drawn: str  # CSS selector that matches once a list of companies is complete

    def categories_url(self, home: str) -> str: ...

    def sub_categories(self, html: str, url: str) -> list[SubCategory]: ...

    def company_list(self, html: str, url: str) -> CompanyList: ...

    def review_page(self, html: str, url: str) -> ReviewPage: ...
