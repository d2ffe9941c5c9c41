"""Trustpilot's pages as they have been since 2020: the data is JSON in a script element.

A first version, tested on pages of 2020 (a list of companies), 2025 and 2026 (reviews).
Field names have shifted between years, so only those that every year has are read.
"""

import json
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from parsel import Selector

from starwise.collect.errors import LayoutError
from starwise.collect.layouts.page import Card, CompanyList, ReviewPage, SubCategory

DATA = "script#__NEXT_DATA__"


class TrustpilotLayout:
    """Reads pages of www.trustpilot.com."""

    name = "trustpilot"
    home = "https://www.trustpilot.com"
    companies_drawn = DATA

    def categories_url(self, home: str) -> str:
        return f"{home}/categories"

    def sub_categories(self, html: str, url: str) -> list[SubCategory]:
        """Read the categories that a page knows: those that belong to another one."""
        known = _at(_data(html, url), url, "categories")
        names = {one["categoryId"]: one["displayName"] for one in known}
        return [
            SubCategory(
                category=names.get(one["parentId"], one["parentId"]),
                name=one["displayName"],
                url=urljoin(url, f"/categories/{one['categoryId']}"),
            )
            for one in known
            if one.get("parentId")
        ]

    def company_list(self, html: str, url: str) -> CompanyList:
        data = _data(html, url)
        businesses = _at(data, url, "businesses", "rankedBusinessUnits")
        names = [one["identifyingName"] for one in businesses["businessUnits"]]
        page = _at(data, url, "currentPage")
        more = 0 < page * len(names) < businesses["totalNumberOfBusinesses"]
        return CompanyList(
            urls=[urljoin(url, f"/review/{name}") for name in names],
            next_url=_with_page(url, page + 1) if more else "",
        )

    def review_page(self, html: str, url: str) -> ReviewPage:
        data = _data(html, url)
        company = _at(data, url, "businessUnit")
        pages = _at(data, url, "filters", "pagination")
        number, last = pages["currentPage"], pages["totalPages"]
        return ReviewPage(
            company=company["displayName"],
            website=company.get("websiteUrl") or "",
            logo=urljoin(url, company.get("profileImageUrl") or ""),
            announced=pages["totalCount"],
            cards=[_card(review) for review in _at(data, url, "reviews")],
            next_url=_with_page(url, number + 1) if number < last else "",
        )


def _card(review: dict) -> Card:
    stars = review.get("rating")
    return Card(
        id=str(review["id"]),
        text=review.get("text") or "",
        stars=stars if isinstance(stars, int) and 1 <= stars <= 5 else None,
        title=review.get("title") or "",
        date=((review.get("dates") or {}).get("publishedDate") or "")[:10],
    )


def _data(html: str, url: str) -> dict:
    """Return the data that the page is drawn from."""
    data = Selector(html).css(f"{DATA}::text").get()
    try:
        return json.loads(data or "")["props"]["pageProps"]
    except (ValueError, KeyError, TypeError) as error:
        raise LayoutError(url, DATA) from error


def _at(data: dict, url: str, *path: str):
    """Return what lies at `path` in `data`, or raise LayoutError that names it."""
    value = data
    for name in path:
        if not isinstance(value, dict) or name not in value:
            raise LayoutError(url, f"{DATA} .props.pageProps.{'.'.join(path)}")
        value = value[name]
    return value


def _with_page(url: str, number: int) -> str:
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query)), "page": str(number)}
    return urlunsplit(parts._replace(query=urlencode(query)))
