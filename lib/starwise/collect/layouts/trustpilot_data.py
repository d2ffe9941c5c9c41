"""Trustpilot's pages since 2020: the data that a page is drawn from, JSON in a script element.

Names and places have shifted between years (`stars` became `rating`, `createdAt` went to
`dates.publishedDate`, lists of companies moved), so that a fact is looked for under every name that
a year gave it, and a list by what its entries look like.
"""

import json
from collections.abc import Iterator
from urllib.parse import quote

from parsel import Selector

from starwise.collect.errors import LayoutError
from starwise.collect.layouts.page import Card, CompanyList, SubCategory
from starwise.collect.layouts.values import (
    address,
    agreed,
    count_in,
    day_of,
    language_of,
    made_id,
    stars_in,
    website,
    with_page,
)

DATA = "script#__NEXT_DATA__"

IDS = ("id", "reviewId", "_id")
TEXTS = ("text", "content", "reviewText", "body", "reviewBody")
TITLES = ("title", "headline", "reviewTitle")
STARS = ("rating", "stars", "starRating", "reviewRating")
DAYS = ("publishedDate", "createdAt", "published", "created", "datePublished", "date")
LANGUAGES = ("language", "reviewLanguage", "lang", "inLanguage", "locale")
NAMES = ("displayName", "businessUnitDisplayName", "name", "title")
ADDRESS_NAMES = ("identifyingName", "businessUnitIdentifyingName", "domain")
WEBSITES = ("websiteUrl", "websiteURL", "website", "webUrl", "url", "href")
LOGOS = ("profileImageUrl", "logoUrl", "logo", "profileImage", "businessUnitLogo", "imageUrl")
COUNTS = ("numberOfReviews", "reviewCount", "totalNumberOfReviews", "reviewsCount")
NUMBERS = ("currentPage", "page", "pageNumber", "current")
LASTS = ("totalPages", "pageCount", "lastPage", "pages", "total_pages")
TOTALS = ("totalCount", "totalNumberOfFilteredReviews", "totalNumberOfReviews", "total")

# Lists beside the one that a page is about: a few reviews shown again, other companies, answers.
ASIDE = (
    *("relevant", "similar", "summary", "topic", "highlight", "product", "reply", "replies"),
    *("carousel", "featured", "recent", "popular", "recommend", "newest", "suggest"),
    *("competitor", "translations", "alsoviewed", "guide", "banner", "seodata", "sidebar"),
)


class NextData:
    """Reads the data that a page is drawn from."""

    name = "trustpilot, the page's data"
    drawn = DATA
    named = f"{DATA} .props.pageProps.businessUnit.displayName"
    reviewed = f"{DATA} .props.pageProps.reviews"

    def company(self, page: Selector, url: str) -> dict[str, object]:
        try:
            data = _data(page, url)
        except LayoutError:
            return {}
        one = _company(data)
        pages = _pagination(data)
        filters = data.get("filters") if isinstance(data.get("filters"), dict) else {}
        announced = next(
            (
                count
                for holder, names in ((pages, TOTALS), (filters, TOTALS), (one, COUNTS))
                if (count := count_in(_named(holder, names))) is not None
            ),
            None,
        )
        return {
            "name": _plain(_named(one, NAMES)),
            "website": website(_link(_named(one, WEBSITES))),
            "logo": address(url, _link(_named(one, LOGOS))),
            "announced": announced,
            "next_url": _next(pages, url),
        }

    def cards(self, page: Selector, url: str) -> list[Card]:
        data = _data(page, url)
        reviews = _find_reviews(data)
        if reviews is None:
            raise LayoutError(url, self.reviewed, self.name)
        for names in (TEXTS, STARS):
            if reviews and not any(name in review for review in reviews for name in names):
                raise LayoutError(url, f"{self.reviewed}[].{names[0]}", self.name)
        return [_card(review) for review in reviews]

    def sub_categories(self, page: Selector, url: str) -> list[SubCategory]:
        """Read the categories that a page knows: those that belong to another one."""
        found = list(_sub_categories(_data(page, url), url))
        if not found:
            raise LayoutError(url, f"{DATA} .props.pageProps.categories", self.name)
        return list({one.url: one for one in found}.values())

    def company_list(self, page: Selector, url: str) -> CompanyList:
        data = _data(page, url)
        holder, businesses = _businesses(data)
        if businesses is None:
            raise LayoutError(url, f"{DATA} .props.pageProps.businessUnits", self.name)
        names = [_plain(_named(one, ADDRESS_NAMES)) for one in businesses]
        links = [address(url, f"/review/{quote(name, safe='/:.')}") for name in names if name]
        total = _named(holder, ("totalHits", "totalNumberOfBusinesses", "total", "totalCount"))
        if not links and count_in(total) != 0:
            raise LayoutError(url, f"{DATA} .businessUnits[].identifyingName", self.name)
        return CompanyList(list(dict.fromkeys(links)), _next(_list_pages(data, holder, links), url))


def _data(page: Selector, url: str) -> dict:
    """Return the data that the page is drawn from."""
    try:
        props = json.loads(page.css(f"{DATA}::text").get() or "")["props"]
        data = props.get("pageProps", props)
        if not isinstance(data, dict):
            raise TypeError
        return data
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LayoutError(url, DATA, NextData.name) from error


def _card(review: dict) -> Card:
    dates = review.get("dates") if isinstance(review.get("dates"), dict) else {}
    text, title = (_plain(_named(review, names)) for names in (TEXTS, TITLES))
    date = day_of(_named(dates, DAYS) or _named(review, DAYS))
    consumer = review.get("consumer") if isinstance(review.get("consumer"), dict) else {}
    return Card(
        # A review without an id is known by what it says, and by who says it.
        id=str(_named(review, IDS) or made_id(consumer.get("id"), date, title, text)),
        text=text,
        stars=agreed(stars_in(review[name]) for name in STARS if review.get(name) is not None),
        title=title,
        date=date,
        language=language_of(_named(review, LANGUAGES)),
    )


def _company(data: dict) -> dict:
    """Return what the page's data says of its company, {} when it says nothing."""
    for name in ("businessUnit", "businessUnitInfo", "businessunit", "company", "profile"):
        if isinstance(data.get(name), dict) and _named(data[name], NAMES):
            return data[name]
    for place, one in _dicts(data):
        if _named(one, ADDRESS_NAMES) and _named(one, NAMES) and not _is_aside(place):
            return one
    return {}


def _pagination(data: dict) -> dict:
    filters = data.get("filters") if isinstance(data.get("filters"), dict) else {}
    for holder in (filters.get("pagination"), data.get("pagination")):
        if isinstance(holder, dict):
            return holder
    paged = (
        one
        for place, one in _dicts(data)
        if _has(one, NUMBERS) and _has(one, LASTS) and not _is_aside(place)
    )
    return next(paged, {})


def _list_pages(data: dict, holder: dict, links: list[str]) -> dict:
    """Return where a list of companies is: its page and its last page."""
    number = next(
        (
            one
            for each in (holder, data, _pagination(data))
            if (one := count_in(_named(each, NUMBERS)))
        ),
        1,
    )
    above = data.get("businesses") if isinstance(data.get("businesses"), dict) else {}
    last = next(
        (
            one
            for each in (above, holder, _pagination(data), data)
            if (one := count_in(_named(each, LASTS))) is not None
        ),
        None,
    )
    if last is None:
        total = count_in(_named(holder, ("totalHits", "totalNumberOfBusinesses", "total")))
        last = -(-total // len(links)) if total and links and number == 1 else number
        # Of a later page we know only whether as many as are shown so far is all there is.
        if total and links and number > 1 and number * len(links) < total:
            last = number + 1
    return {"currentPage": number, "totalPages": last}


def _next(pages: dict, url: str) -> str | None:
    """Return the next page's address, "" on the last page, None where the data does not say."""
    number, last = count_in(_named(pages, NUMBERS)), count_in(_named(pages, LASTS))
    if last is None and (size := count_in(pages.get("perPage"))):
        total = count_in(_named(pages, TOTALS))
        last = None if total is None else -(-total // size)
    if number is None or last is None:
        return None
    return with_page(url, number + 1) if number < last else ""


def _businesses(data: dict) -> tuple[dict, list[dict] | None]:
    """Return the list of companies that the page shows, and what holds it."""
    # 2020: companies with many reviews first, on later pages those that were reviewed lately.
    both = data.get("businesses")
    if isinstance(both, dict):
        for name in ("rankedBusinessUnits", "recentlyReviewedBusinessUnits"):
            if isinstance(both.get(name), dict) and both[name].get("businessUnits"):
                return both[name], both[name]["businessUnits"]
    for place, holder in _dicts(data):
        for name, value in holder.items():
            if not isinstance(value, list) or _is_aside(f"{place}.{name}"):
                continue
            if _looks_like_companies(value) or (not value and name.startswith("business")):
                return holder, value
    return {}, None


def _sub_categories(data: dict, url: str) -> Iterator[SubCategory]:
    """Yield every category below another one, however the data nests them."""

    def named(one: dict) -> tuple[str, str]:
        key = _plain(_named(one, ("categoryId", "id", "slug")))
        return key, _plain(_named(one, ("displayName", "name", "title"))) or key

    def below(one: dict) -> list[dict]:
        lists = (value for value in one.values() if isinstance(value, list))
        return [child for value in lists for child in value if _is_category(child)]

    tops = {key: name for _, one in _every_category(data) for key, name in [named(one)]}
    for _, one in _every_category(data):
        key, name = named(one)
        if parent := _plain(one.get("parentId")):
            yield SubCategory(tops.get(parent, parent), name, address(url, f"/categories/{key}"))
        for child in below(one):
            if not child.get("parentId"):
                child_key, child_name = named(child)
                yield SubCategory(name, child_name, address(url, f"/categories/{child_key}"))


def _every_category(data: dict) -> Iterator[tuple[str, dict]]:
    return (pair for pair in _dicts(data) if _is_category(pair[1]))


def _is_category(one: object) -> bool:
    if not isinstance(one, dict) or _has(one, ADDRESS_NAMES):
        return False
    return "categoryId" in one or bool(_named(one, ("id", "slug")) and _named(one, NAMES))


def _looks_like_reviews(name: str, value: list) -> bool:
    if not value:
        return name == "reviews"
    return all(
        isinstance(one, dict)
        and (_has(one, TEXTS) or _has(one, TITLES))
        and (_has(one, STARS) or _has(one, ("consumer", "dates", *DAYS)))
        for one in value
    )


def _looks_like_companies(value: list) -> bool:
    return bool(value) and all(
        isinstance(one, dict) and _named(one, ADDRESS_NAMES) and _has(one, NAMES) for one in value
    )


def _find_reviews(data: dict) -> list[dict] | None:
    """Return the list of reviews nearest to the top: one with entries before an empty one."""
    empty = None
    for place, holder in _dicts(data):
        for name, value in holder.items():
            if not isinstance(value, list) or _is_aside(f"{place}.{name}", "businesses", "units"):
                continue
            if _looks_like_reviews(name, value):
                if value:
                    return value
                empty = value
    return empty


def _is_aside(place: str, *more: str) -> bool:
    return any(word in place.lower() for word in (*ASIDE, *more))


def _dicts(data: object) -> Iterator[tuple[str, dict]]:
    """Yield every object below `data` with its place, those near the top first."""
    level: list[tuple[str, object]] = [("", data)]
    while level:
        below: list[tuple[str, object]] = []
        for place, value in level:
            if isinstance(value, dict):
                yield place, value
                below += [(f"{place}.{name}", each) for name, each in value.items()]
            elif isinstance(value, list):
                below += [(place, each) for each in value]
        level = [pair for pair in below if isinstance(pair[1], dict | list)]


def _named(holder: dict, names: tuple[str, ...]) -> object:
    """Return the first value that is not empty under one of these names, else None."""
    found = (holder.get(name) for name in names)
    return next((value for value in found if value not in (None, "", [], {})), None)


def _has(holder: dict, names: tuple[str, ...]) -> bool:
    return any(name in holder for name in names)


def _plain(value: object) -> str:
    return "" if value is None else str(value)


def _link(value: object) -> str:
    """Return the address in a value that may be one, or hold one (in several sizes)."""
    while isinstance(value, dict) and value:
        value = next(
            (value[name] for name in ("url", "src", "href") if name in value), None
        ) or next(iter(value.values()))
    return value if isinstance(value, str) else ""
