"""Trustpilot's pages since 2021, the HTML itself: elements marked by attributes for tests.

Names of classes are made anew with each release of the site; the attributes have stayed.
"""

import re
from urllib.parse import urljoin, urlsplit

from parsel import Selector

from starwise.collect.errors import LayoutError
from starwise.collect.layouts.page import Card, CompanyList, SubCategory
from starwise.collect.layouts.values import (
    address,
    agreed,
    count_in,
    day_of,
    first_of,
    first_words,
    made_id,
    stars_in,
    stars_of_picture,
    website,
    words_in,
)

# Cards with an excerpt of a "relevant" review stand above the list and have neither attribute.
CARDS = (
    "//article[.//@data-service-review-rating or .//@data-service-review-text-typography"
    " or .//@data-service-review-title-typography]"
)
TEXT = "[data-service-review-text-typography]"
TITLE = "[data-service-review-title-typography]"
COMPANIES = 'a[name="business-unit-card"], a[data-business-unit-card-link], a[href^="/review/"]'
NEXT = (
    "a[name=pagination-button-next]::attr(href), "
    "a[data-pagination-button-next-link]::attr(href), "
    "a[data-pagination-button-next-paginationlink]::attr(href), link[rel=next]::attr(href)"
)


class Attributes:
    """Reads the marked elements of a page."""

    name = "trustpilot, the HTML's attributes"
    drawn = 'a[name="business-unit-card"], a[data-business-unit-card-link]'
    named = "#business-unit-title, h1"
    reviewed = "article [data-service-review-rating]"

    def company(self, page: Selector, url: str) -> dict[str, object]:
        heading = page.css(self.named)
        link = first_of(
            page,
            "a[name=visit-website]::attr(href)",
            "a[data-visit-website-button-link]::attr(href)",
            "a[data-business-unit-website]::attr(href)",
            "[class*=websiteUrl]::attr(href)",
        )
        logo = first_of(
            page,
            "img[data-business-unit-logo]::attr(src)",
            "[class*=business-profile-image] img::attr(src)",
            "img[class*=business-profile-image]::attr(src)",
            "[class*=profile-image] img::attr(src)",
        )
        told = first_words(
            page,
            "[data-reviews-count-typography]",
            "[class*=reviewsAndRating]",
            "#business-unit-title [class*=text]",
        )
        return {
            "name": first_words(heading, "[class*=displayName]", "h1 span", "span") or None,
            "website": website(link),
            "logo": address(url, logo),
            "announced": count_in(told),
            "next_url": _next(page, url),
        }

    def cards(self, page: Selector, url: str) -> list[Card]:
        cards = page.xpath(CARDS)
        if not cards:
            raise LayoutError(url, self.reviewed, self.name)
        for needed in ("[data-service-review-rating], img[src*=stars-]", f"{TEXT}, {TITLE}"):
            if not cards.css(needed):
                raise LayoutError(url, needed, self.name)
        return [_card(card) for card in cards]

    def sub_categories(self, page: Selector, url: str) -> list[SubCategory]:
        """Read links to categories, each under the nearest heading or link before it."""
        found = {}
        # A page of reviews links to its company's categories, and to companies like it.
        links = [] if page.xpath(CARDS) else page.css('a[href*="/categories/"]')
        for link in links:
            above = link.xpath("preceding::*[self::h2 or self::h3 or self::h4][1]")
            # In 2020 the number of companies stood behind a name, in brackets.
            name = re.sub(r"\s*\(\d[\d.,]*\)$", "", words_in(link))
            whole = urljoin(url, link.attrib["href"])
            # The heading itself may be a link, or in one: that is the category, not one below it.
            headed = link.xpath("(ancestor::*|.//*)[self::h2 or self::h3 or self::h4]")
            if above and name and not headed and not urlsplit(whole).query:
                found.setdefault(whole, SubCategory(words_in(above[0]), name, whole))
        if not found:
            raise LayoutError(url, 'a[href*="/categories/"] below a heading', self.name)
        return list(found.values())

    def company_list(self, page: Selector, url: str) -> CompanyList:
        found = [] if page.xpath(CARDS) else page.css(COMPANIES).css("::attr(href)").getall()
        links = [urljoin(url, link) for link in found]
        urls = [link.split("?")[0] for link in links if "/review/" in link and "page=" not in link]
        if not urls:
            raise LayoutError(url, 'a[name="business-unit-card"], a[href^="/review/"]', self.name)
        return CompanyList(list(dict.fromkeys(urls)), _next(page, url) or "")


def _card(card: Selector) -> Card:
    said = [stars_in(value) for value in card.xpath(".//@data-service-review-rating").getall()]
    drawn = [
        stars_of_picture(picture.attrib.get("src", ""), picture.attrib.get("alt", ""))
        for picture in card.css("img[src*=stars-]")
    ]
    title, text = first_words(card, TITLE), first_words(card, TEXT)
    date = day_of(first_of(card, "time::attr(datetime)"))
    link = first_of(card, 'a[href*="/reviews/"]::attr(href)')
    author = first_of(card, 'a[href*="/users/"]::attr(href)')
    return Card(
        id=urlsplit(link).path.rstrip("/").rsplit("/", 1)[-1] or made_id(author, date, title, text),
        text=text,
        stars=agreed(said or drawn),
        title=title,
        date=date,
    )


def _next(page: Selector, url: str) -> str | None:
    """Return the next page's address; None without any link: the last page has a dead one."""
    links = page.css(NEXT).getall()
    if links:
        return urljoin(url, links[0])
    return "" if page.css("[name=pagination-button-next], nav[role=navigation]") else None
