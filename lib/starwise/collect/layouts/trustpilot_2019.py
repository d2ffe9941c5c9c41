"""Trustpilot's pages of 2018 to 2021, marked by classes: those of 2019 are what the article read.

A page of that time hardly says how many companies or reviews there are, so an empty one cannot be
told from one of another layout, and is refused.
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
    stars_of_picture,
    website,
    words_in,
)

COMPANY = "span.multi-size-header__big"
# Each as in 2019, then as it was in 2018.
TEXT = "p.review-content__text, p.review-info__body__text"
STARS = "div.star-rating--medium, .review-info__header__verified .star-rating"
TITLE = ".review-content__title, .review-info__body__title"
ANNOUNCED = ("span.headline__review-count", "h2.header--inline", ".header__review-count")
WEBSITES = "a.badge-card__section--hoverable::attr(href)"
LOGO = "img.business-unit-profile-summary__image"
LOGOS = f"{LOGO}::attr(src), {LOGO}::attr(data-src)"  # drawn once the page is scrolled there
# In 2018 a rating was drawn by a class: star-rating-4, before that count-4.
STARS_CLASS = re.compile(r"(?<![\w-])(?:star-rating|count)-(\d)(?![\w-])")
# What a card may be, from the whole to the part that holds text and stars.
CARDS = (
    "div.review-card",
    "article.review",
    "article",
    "section.review__content",
    ".review-content",
    "div.card",
    ".content-section__review-info",
)
COMPANIES = "a.category-business-card"
SUB_CATEGORIES = "div.child-category a.sub-category-item"


class Pages2019:
    """Reads the pages that the article scraped."""

    name = "trustpilot, pages of 2019"
    drawn = COMPANIES
    named = COMPANY
    reviewed = f"{TEXT}, {STARS}"

    def company(self, page: Selector, url: str) -> dict[str, object]:
        if not page.css(f"{COMPANY}, {self.reviewed}"):
            return {}
        link = page.css("a[data-page-number=next-page]::attr(href), a.next-page::attr(href)").get()
        return {
            "name": first_words(page, COMPANY),
            # Cards of the same class lead to a telephone and a mailbox.
            "website": next(filter(None, map(website, page.css(WEBSITES).getall())), ""),
            "logo": next(filter(None, (address(url, one) for one in page.css(LOGOS).getall())), ""),
            "announced": count_in(first_words(page, *ANNOUNCED)),
            "next_url": urljoin(url, link) if link else None,
        }

    def cards(self, page: Selector, url: str) -> list[Card]:
        cards = _cards(page) if page.css(self.reviewed) else []
        if not cards and not page.css(COMPANY):
            raise LayoutError(url, COMPANY, self.name)
        if not cards and count_in(first_words(page, *ANNOUNCED)) != 0:
            raise LayoutError(url, self.reviewed, self.name)
        if len(cards) > 2:
            # One card may lack words or stars; a page of which all do has changed.
            for needed in (TEXT, STARS):
                if not page.css(needed):
                    raise LayoutError(url, needed, self.name)
        return [_card(card) for card in cards]

    def sub_categories(self, page: Selector, url: str) -> list[SubCategory]:
        found = [
            SubCategory(_heading(category), words_in(link), urljoin(url, link.attrib["href"]))
            for category in page.css("div.category-object")
            for link in category.css(f"{SUB_CATEGORIES}[href]")
        ]
        if not found:
            raise LayoutError(url, f"div.category-object {SUB_CATEGORIES}", self.name)
        return found

    def company_list(self, page: Selector, url: str) -> CompanyList:
        links = page.css(f"{COMPANIES}::attr(href)").getall()
        if not links:
            raise LayoutError(url, COMPANIES, self.name)
        following = page.css("a.next-page::attr(href)").get()
        urls = [urljoin(url, link) for link in links]
        return CompanyList(list(dict.fromkeys(urls)), urljoin(url, following) if following else "")


def _cards(page: Selector) -> list[Selector]:
    """Return the elements that hold one review each, with all that belongs to it.

    The class of a card has changed; what has not is that each text and each rating of the list is
    in one. So we take the first kind of element of which that is true.
    """
    texts = len(page.css(TEXT))
    for kind in CARDS:
        cards = [card for card in page.css(kind) if card.css(f"{TEXT}, {TITLE}, {STARS}")]
        alone = all(len(card.css(TEXT)) <= 1 for card in cards)
        if cards and alone and sum(len(card.css(TEXT)) for card in cards) == texts:
            return cards
    return _cards_by_stars(page)


def _cards_by_stars(page: Selector) -> list[Selector]:
    """Return, for each rating, the largest element around it that holds no other rating or text.

    The fallback for cards that no class marks.
    """
    found = []
    for stars in page.css(STARS):
        card = stars
        around = card.xpath("..")
        while around and len(around[0].css(STARS)) == 1 and len(around[0].css(TEXT)) <= 1:
            card, around = around[0], around[0].xpath("..")
        found.append(card)
    return found


def _card(card: Selector) -> Card:
    title, text = first_words(card, TITLE), first_words(card, TEXT)
    dates = first_words(card, "script[data-initial-state=review-dates]")
    written = dates.partition('"publishedDate"')[2].lstrip(' :"')
    date = day_of(written) or day_of(first_of(card, "time::attr(datetime)"))
    link = first_of(card, 'a[href*="/reviews/"]::attr(href)')
    author = first_of(card, 'a[href*="/users/"]::attr(href)')
    key = urlsplit(link).path.rstrip("/").rsplit("/", 1)[-1]
    return Card(
        id=key or first_of(card, "::attr(id)") or made_id(author, date, title, text),
        text=text,
        stars=agreed(map(_stars, card.css(STARS))),
        title=title,
        date=date,
    )


def _stars(rating: Selector) -> int | None:
    drawn = [
        stars_of_picture(picture.attrib.get("src", ""), picture.attrib.get("alt", ""))
        for picture in rating.css("img")
    ]
    return agreed(drawn or map(int, STARS_CLASS.findall(rating.attrib.get("class", ""))))


def _heading(category: Selector) -> str:
    """Return the name of a category: its heading, else the first words above its children."""
    named = first_words(
        category, ".sub-category__header", ".category-header", "h1, h2, h3, h4, [class*=header]"
    )
    if named:
        return named
    above = category.xpath(".//text()[not(ancestor::div[contains(@class, 'child-category')])]")
    return next((text.strip() for text in above.getall() if text.strip()), "")
