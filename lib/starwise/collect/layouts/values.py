"""Reading single values as sites write them: stars, counts, dates, languages, addresses.

stars_in("5 Sterne: Hervorragend"), stars_in("Rated 4 out of 5 stars"), stars_in("4,5 stars")
# (5, 4, None)
"""

import hashlib
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from parsel import Selector

_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_COUNT = re.compile(r"(\d[\d.,\s\u00a0\u202f'’]*)\s?([^\W\d_]+)?")
# How pages of some languages shorten a count: 6K, 6 mil, 1,2 Mio., 1.2万.
_SCALES = {
    **dict.fromkeys(("k", "tsd", "mil", "mila", "tys", "тыс", "천", "千"), 1_000),
    **dict.fromkeys(("m", "mio", "mln", "mn", "млн"), 1_000_000),
    **dict.fromkeys(("万", "萬", "만"), 10_000),
}
_SPACES = re.compile(r"[^\S\u00a0]+")
_PICTURE = re.compile(r"stars?-(\d(?:[.,]\d)?)\.(?:svg|png)")


def stars_in(value: object) -> int | None:
    """Return the whole stars, 1 to 5, that a number or a text says, None when it says none.

    In a text one number counts, or the first of two when the second is the scale ("3 of 5").
    """
    if isinstance(value, dict):
        value = next(
            (value[key] for key in ("value", "ratingValue", "stars") if key in value), None
        )
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        numbers = [str(value).removesuffix(".0")]
    else:
        numbers = [number.removesuffix(".0") for number in _NUMBER.findall(str(value))]
    if len(numbers) == 2 and numbers[1] == "5":
        numbers.pop()
    if len(numbers) != 1 or numbers[0] not in ("1", "2", "3", "4", "5"):
        return None
    return int(numbers[0])


def stars_of_picture(source: str, description: str) -> int | None:
    """Return the stars of a picture such as stars-4.svg, else what its description says."""
    drawn = _PICTURE.search(source)
    return stars_in(drawn[1] if drawn else description)


def agreed(ratings: Iterable[int | None]) -> int | None:
    """Return the rating on which all agree; two different ones are none that can be trusted."""
    found = set(ratings)
    return found.pop() if len(found) == 1 else None


def count_in(value: object) -> int | None:
    """Return a count such as 308, "1,234", "1 234", "6K reviews"; None when there is none."""
    if isinstance(value, dict):
        value = next((value[key] for key in ("total", "count", "value") if key in value), None)
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return int(value)
    found = _COUNT.search(str(value))
    if not found:
        return None
    word = (found[2] or "").lower()
    # Chinese and Japanese write the next word without a space: 1.2万件.
    scale = _SCALES.get(word) or _SCALES.get(word[:1] if not word.isascii() else "")
    number = re.sub(r"[^\d.]", "", found[1].replace(",", "."))
    if scale and number.count(".") <= 1:
        return round(float(number) * scale)
    return int(re.sub(r"\D", "", found[1]))


def day_of(value: object) -> str:
    """Return the day of a moment written as ISO 8601 ("2026-02-11"), "" for anything else."""
    found = re.match(r"\d{4}-\d\d-\d\d", str(value or ""))
    return found[0] if found else ""


def language_of(value: object) -> str:
    """Return "en" for "en", "en-US" or "EN_us"; "" for what is no code of a language."""
    found = re.match(r"([a-z]{2,3})(?:[-_]|$)", str(value or "").lower())
    return found[1] if found else ""


def words_in(element: Selector) -> str:
    """Return an element's text as a browser shows it: <br> and paragraphs break lines."""
    # Spaces in markup are only spaces; what breaks a line is an element.
    told = [
        _SPACES.sub(" ", part) if isinstance(part, str) else "\n"
        for part in element.root.xpath(".//text() | .//br | .//p")
    ]
    lines = "".join(told).replace("\u00a0", " ").split("\n")
    return "\n".join(line.strip() for line in lines).strip()


def first_words(page: Selector, *selectors: str) -> str:
    """Return the text of the first element that has any, trying CSS selectors in turn."""
    for selector in selectors:
        for element in page.css(selector):
            if words := words_in(element):
                return words
    return ""


def first_of(page: Selector, *selectors: str) -> str:
    """Return the first value that is not empty, trying CSS selectors of values in turn."""
    return next((v.strip() for s in selectors for v in page.css(s).getall() if v.strip()), "")


def address(base: str, link: str) -> str:
    """Return `link` as a whole address, "" for none (or for a script)."""
    whole = urljoin(base, link.strip()) if link and link.strip() else ""
    return whole if urlsplit(whole).scheme in ("http", "https") else ""


def website(link: str) -> str:
    """Return a company's own address; "shop.example" without a scheme is one too."""
    named = re.match(r"[\w-]+(?:\.[\w-]+)+(?:[/?#].*)?$", link.strip())
    whole = address("", f"https://{named[0]}" if named else link)
    if "utm_" not in whole:
        return whole
    # What counts the visits that a page sends is no part of the company's address.
    parts = urlsplit(whole)
    query = [pair for pair in parse_qsl(parts.query) if not pair[0].startswith("utm_")]
    return urlunsplit(parts._replace(query=urlencode(query)))


def with_page(url: str, number: int) -> str:
    """Return the address of page `number` of the same list."""
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query)), "page": str(number)}
    return urlunsplit(parts._replace(query=urlencode(query), fragment=""))


def made_id(*facts: object) -> str:
    """Return an id for a card that has none: the same for the same card, on every visit."""
    return hashlib.sha256("\0".join(map(str, facts)).encode("utf-8", "replace")).hexdigest()[:16]
