"""The practice site's pages: plain HTML, read with CSS selectors."""

import re
from urllib.parse import urljoin

from bs4 import BeautifulSoup
from parsel import Selector

from starwise.collect.errors import LayoutError
from starwise.collect.layouts.page import Card, CompanyList, ReviewPage, SubCategory
from starwise.collect.layouts.values import made_id

STARS = re.compile(r"([1-5]) stars?\b")


class PracticeLayout:
    """Reads the pages that `starwise practice` serves."""

    name = "practice"
    home = ""
    companies_drawn = "#companies[data-state=ready]"

    def categories_url(self, home: str) -> str:
        return f"{home}/categories"

    def sub_categories(self, html: str, url: str) -> list[SubCategory]:
        """Read the page of all categories; a category and its sub-categories share a section."""
        soup = BeautifulSoup(html, "lxml")
        found = [
            SubCategory(
                category=section.select_one(".category-name").get_text(strip=True),
                name=link.get_text(strip=True),
                url=urljoin(url, link["href"]),
            )
            for section in soup.select("section.category:has(.category-name)")
            for link in section.select("a.sub-category[href]")
        ]
        if not found:
            raise LayoutError(url, "section.category a.sub-category", self.name)
        return found

    def company_list(self, html: str, url: str) -> CompanyList:
        """Read one page of a list after JavaScript has drawn it; the list may be empty."""
        page = Selector(html)
        if not page.css(self.companies_drawn):
            raise LayoutError(url, self.companies_drawn, self.name)
        urls = [urljoin(url, link) for link in page.css("a.company-card::attr(href)").getall()]
        # An empty list says so; cards that only have another name are a change of the site.
        if not urls and not page.css("#companies .note"):
            raise LayoutError(url, "a.company-card", self.name)
        return CompanyList(urls, _next_page(page, url))

    def review_page(self, html: str, url: str) -> ReviewPage:
        """Read one page of a company's reviews, card by card."""
        page = Selector(html)
        company = page.css("h1.company-name::text").get()
        if company is None:
            raise LayoutError(url, "h1.company-name", self.name)
        announced = page.css(".review-count::attr(data-count)").get("")
        if not announced.isdecimal():
            raise LayoutError(url, ".review-count[data-count]", self.name)
        cards = page.css("article.review-card")
        if int(announced) and not cards:
            raise LayoutError(url, "article.review-card", self.name)
        if len(cards) > 2:
            # A few cards may lack stars or words; a page of which all do has changed.
            for needed in (".review-stars img", ".review-text, .review-no-text"):
                if not page.css(needed):
                    raise LayoutError(url, needed, self.name)
        return ReviewPage(
            company=company,
            website=page.css("a.company-website::attr(href)").get(""),
            logo=urljoin(url, page.css("img.company-logo::attr(src)").get("")),
            announced=int(announced),
            cards=[_card(card) for card in cards],
            next_url=_next_page(page, url),
        )


def _card(card: Selector) -> Card:
    # One rating, and a whole one: anything else is no rating at all.
    stars = [STARS.match(text) for text in card.css(".review-stars img::attr(alt)").getall()]
    text = card.css(".review-text::text").get("")
    date = card.css("time.review-date::attr(datetime)").get("")
    return Card(
        id=card.attrib.get("data-review-id") or made_id(text, date),
        text=text,
        stars=int(stars[0][1]) if len(stars) == 1 and stars[0] else None,
        title=card.css(".review-title::text").get(""),
        date=date,
    )


def _next_page(page: Selector, url: str) -> str:
    link = page.css("nav.pages a.next-page::attr(href)").get()
    return urljoin(url, link) if link else ""
