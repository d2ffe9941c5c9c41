"""Trustpilot's pages, the summary for search engines: JSON-LD as schema.org describes it.

It says less than the page's own data (no address of the next page, texts without line breaks), but
its names are a standard and hardly move.
"""

import json
from collections.abc import Iterator

from parsel import Selector

from starwise.collect.errors import LayoutError
from starwise.collect.layouts.page import Card, CompanyList, SubCategory
from starwise.collect.layouts.values import (
    address,
    count_in,
    day_of,
    language_of,
    made_id,
    stars_in,
)

SUMMARY = 'script[type="application/ld+json"]'


class Summary:
    """Reads the JSON-LD of a page of reviews; lists of companies are not summed up so."""

    name = "trustpilot, the summary"
    drawn = ""
    named = f"{SUMMARY} name"
    reviewed = f"{SUMMARY} of type Review"

    def company(self, page: Selector, url: str) -> dict[str, object]:
        nodes = list(_nodes(page))
        one = _company(nodes)
        by_id = {str(node["@id"]): node for node in nodes if "@id" in node and len(node) > 1}
        logo = one.get("logo") or one.get("image")
        if isinstance(logo, dict) and "url" not in logo:
            logo = by_id.get(str(logo.get("@id")), {})
        if isinstance(logo, dict):
            logo = logo.get("url") or logo.get("contentUrl")
        same = one.get("sameAs") or one.get("url") or ""
        links = [link for link in _listed(same) if isinstance(link, str)]
        own = next((link for link in links if "trustpilot." not in link.split("/review/")[0]), "")
        rating = one.get("aggregateRating")
        return {
            "name": str(one.get("name") or ""),
            "website": address(url, own),
            "logo": address(url, logo if isinstance(logo, str) else ""),
            "announced": count_in((rating if isinstance(rating, dict) else {}).get("reviewCount")),
        }

    def cards(self, page: Selector, url: str) -> list[Card]:
        nodes = list(_nodes(page))
        reviews = [node for node in nodes if "Review" in _types(node)]
        if not reviews:
            raise LayoutError(url, self.reviewed, self.name)
        if not any("reviewRating" in review for review in reviews):
            raise LayoutError(url, f"{SUMMARY} reviewRating", self.name)
        return [_card(review) for review in reviews]

    def sub_categories(self, page: Selector, url: str) -> list[SubCategory]:
        raise LayoutError(url, f"{SUMMARY} of categories", self.name)

    def company_list(self, page: Selector, url: str) -> CompanyList:
        raise LayoutError(url, f"{SUMMARY} of companies", self.name)


def _nodes(page: Selector) -> Iterator[dict]:
    """Yield every object of the page's JSON-LD, however nested."""
    for text in page.css(f"{SUMMARY}::text").getall():
        try:
            # 2019's pages end this script with a semicolon.
            waiting = [json.loads(text.strip().rstrip(";"))]
        except ValueError:
            continue
        while waiting:
            node = waiting.pop(0)
            if isinstance(node, dict):
                yield node
                waiting += node.values()
            elif isinstance(node, list):
                waiting += node


def _company(nodes: list[dict]) -> dict:
    """Return the company that is reviewed: the one with a rating, or that a review names."""
    rated = [node for node in nodes if "aggregateRating" in node and node.get("name")]
    if rated:
        return rated[0]
    for node in nodes:
        about = node.get("itemReviewed") if "Review" in _types(node) else None
        if isinstance(about, dict):
            known = [one for one in nodes if one.get("@id") == about.get("@id") and "name" in one]
            return known[0] if known else about
    return {}


def _card(review: dict) -> Card:
    rating = review.get("reviewRating")
    title, text = str(review.get("headline") or ""), str(review.get("reviewBody") or "")
    date = day_of(review.get("datePublished"))
    author = review.get("author")
    key = str(review.get("@id") or review.get("url") or "").rstrip("/").rsplit("/", 1)[-1]
    return Card(
        id=key or made_id(author.get("url") if isinstance(author, dict) else "", date, title, text),
        text=text,
        stars=stars_in(rating.get("ratingValue") if isinstance(rating, dict) else rating),
        title=title,
        date=date,
        language=language_of(review.get("inLanguage")),
    )


def _types(node: dict) -> list:
    return _listed(node.get("@type"))


def _listed(value: object) -> list:
    return value if isinstance(value, list) else [value]
