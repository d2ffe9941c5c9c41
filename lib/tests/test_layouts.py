"""Layouts: each saved page gives exactly what stands beside it, and a page that fits none says so.

The pages in `pages/` are our own, in the shapes of their years; beside each lies the JSON expected
of it. Where real saved pages lie beside the project, they are read as well.
"""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from starwise.collect.encoding import read_text
from starwise.collect.errors import EncodingError, LayoutError
from starwise.collect.layouts import layout_of
from starwise.collect.layouts.trustpilot import TrustpilotLayout
from starwise.collect.layouts.trustpilot_attributes import Attributes
from starwise.collect.layouts.trustpilot_data import NextData
from starwise.collect.layouts.trustpilot_summary import Summary
from starwise.collect.layouts.values import count_in, stars_in

PAGES = Path(__file__).parent / "pages"
URL = "https://www.trustpilot.com/review/a.example"
LOGIN = "<html><title>Log in</title><form>Please log in</form></html>"
READINGS = ("sub_categories", "company_list", "review_page")


def saved(kind: str) -> list:
    found = sorted(PAGES.glob(f"{kind}-*.html"))
    assert found, f"no saved pages of {kind}"
    return [pytest.param(path, id=path.stem) for path in found]


def page_and_expected(path: Path) -> tuple[str, dict]:
    html = path.read_text(encoding="utf-8")
    return html, json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def html_of(name: str) -> str:
    return (PAGES / f"{name}.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", saved("review"))
def test_a_page_of_reviews_is_read_to_the_letter(path):
    html, expected = page_and_expected(path)
    page = asdict(layout_of("trustpilot").review_page(html, expected.pop("url")))
    for card, wanted in zip(page["cards"], expected["cards"], strict=True):
        if len(wanted["id"]) == 1:  # the page gives none: one is made up, and differs from all
            assert re.fullmatch("[0-9a-f]{16}", card["id"])
            wanted["id"] = card["id"]
    assert page == expected
    assert len({card["id"] for card in page["cards"]}) == len(page["cards"])


@pytest.mark.parametrize("path", saved("companies"))
def test_a_list_of_companies_is_read_in_its_order(path):
    html, expected = page_and_expected(path)
    assert asdict(layout_of("trustpilot").company_list(html, expected.pop("url"))) == expected


@pytest.mark.parametrize("path", saved("categories"))
def test_categories_are_read_with_what_they_belong_to(path):
    html, expected = page_and_expected(path)
    found = layout_of("trustpilot").sub_categories(html, expected["url"])
    assert [[one.category, one.name, one.url] for one in found] == expected["sub_categories"]


@pytest.mark.parametrize("html", ["", LOGIN, "<<<>>>", "\ufffd\ufffd", "<p>" * 3000])
@pytest.mark.parametrize("site_name", ["practice", "trustpilot", "trustpilot-2019"])
@pytest.mark.parametrize("reading", READINGS)
def test_a_foreign_page_is_refused_with_its_address_and_what_it_lacks(site_name, reading, html):
    with pytest.raises(LayoutError) as error:
        getattr(layout_of(site_name), reading)(html, "http://here/page")
    assert "http://here/page" in str(error.value)
    assert error.value.tried and all(
        layout in str(error.value) and selector in str(error.value)
        for layout, selector in error.value.tried
    )


@pytest.mark.parametrize("reading", READINGS)
def test_a_page_of_another_kind_is_refused(reading):
    own = {"sub_categories": "categories", "company_list": "companies", "review_page": "review"}
    for path in sorted(PAGES.glob("*.html")):
        # One of our saved pages is both, as the site's page of a category was in 2020.
        if not path.stem.startswith(own[reading]) and "2020" not in path.stem:
            with pytest.raises(LayoutError):
                getattr(layout_of("trustpilot"), reading)(path.read_text("utf-8"), URL)


CHANGES = {
    "the list of reviews has gone": ("review-2026-data", r'(?s)"reviews": \[.*\],\n', ""),
    "stars have another name": ("review-2026-data", '"rating"', '"verdict"'),
    "texts have another name": ("review-2026-data", '"text"', '"words"'),
    "the company has no name": ("review-2026-data", '"displayName"', '"label"'),
    "the data is torn": ("review-2026-data", '"isPending": false,', "{"),
    "the summary's stars have gone": ("review-summary", "reviewRating", "mark"),
    "the marks of stars and texts have gone": ("review-attributes", "data-service-", "data-other-"),
    "2019: the company has no name": ("review-2019", "(?s)<h1>.*</h1>", ""),
    "2019: texts have another class": ("review-2019", "review-content__text", "words"),
    "2019: stars have another class": ("review-2019", "star-rating--medium", "stars"),
    "2019: both": ("review-2019", "star-rating--medium|review-content__text", "other"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_site_that_has_changed_never_looks_like_a_company_without_reviews(change):
    name, old, new = CHANGES[change]
    html = html_of(name)
    changed = re.sub(old, new, html)
    assert changed != html
    with pytest.raises(LayoutError, match=re.escape(URL)) as error:
        layout_of("trustpilot").review_page(changed, URL)
    layouts, selectors = zip(*error.value.tried, strict=True)
    assert len(set(layouts)) == 4 and all(one in str(error.value) for one in selectors)


def test_a_page_that_is_torn_off_before_it_says_how_it_goes_on_is_refused():
    html = html_of("review-attributes")
    torn = html[: html.index("<nav")]
    with pytest.raises(LayoutError, match="</html>"):
        layout_of("trustpilot").review_page(torn, URL)
    whole = layout_of("trustpilot").review_page(f"{torn}</body></html>", URL)
    assert len(whole.cards) == 3 and whole.announced == 1203 and not whole.next_url


def test_a_company_without_reviews_says_so_and_is_no_error():
    html = re.sub(
        r'"reviews": \[.*\],\n"filters"',
        '"reviews": [],\n"filters"',
        html_of("review-2026-data"),
        flags=re.DOTALL,
    )
    with pytest.raises(LayoutError):  # it announces five
        layout_of("trustpilot").review_page(html, URL)
    page = layout_of("trustpilot").review_page(
        html.replace('"totalCount": 5', '"totalCount": 0'), URL
    )
    assert page.announced == 0 and page.cards == []


def test_what_the_data_lacks_of_a_company_the_rest_of_the_page_tells():
    html = html_of("review-2026-data").replace('"websiteUrl"', '"addr"')
    html = html.replace('"displayName": "A & Co", ', "")
    html = html.replace(
        "<body>",
        "<body><h1><span>A &amp; Co</span></h1>"
        '<a name="visit-website" href="https://a.example">here</a>',
    )
    page = layout_of("trustpilot").review_page(html, URL)
    assert (page.company, page.website) == ("A & Co", "https://a.example")


def test_a_company_is_never_called_by_the_name_of_one_beside_it():
    html = html_of("review-2021-data")
    assert "Another shop" in html
    with pytest.raises(LayoutError, match="displayName"):
        layout_of("trustpilot").review_page(html.replace('"displayName": "Lampehuset", ', ""), URL)


def test_stars_and_counts_are_read_as_sites_write_them():
    five = ["5 stars: Excellent", "5 Sterne: Hervorragend", "5 étoiles", 5, 5.0, "5", "5.0"]
    assert [stars_in(value) for value in five] == [5] * len(five)
    assert stars_in("Rated 4 out of 5 stars") == stars_in("Noté 4 sur 5 étoiles") == 4
    none = ["4,5 stars", "4.5", 4.5, 0, 6, "", None, True, "five", "1 or 4", "12 of 5"]
    assert [stars_in(value) for value in none] == [None] * len(none)
    counts = {"1,234": 1234, "1.234 Bewertungen": 1234, "1\u202f234": 1234, "6K reviews": 6000}
    counts |= {"2.5M": 2_500_000, "Reviews 308": 308, "none": None, 7: 7, "6 mil opiniones": 6000}
    counts |= {"1,2 Mio. Bewertungen": 1_200_000, "1.2万件": 12_000, "1’203 avis": 1203}
    assert {value: count_in(value) for value in counts} == counts


def test_a_practice_page_that_announces_reviews_and_shows_none_is_refused():
    html = '<h1 class="company-name">A</h1><span class="review-count" data-count="3"></span>'
    with pytest.raises(LayoutError, match="review-card"):
        layout_of("practice").review_page(html, "http://here")


def test_bytes_that_are_not_what_they_claim_are_refused():
    words = "Très bon café, servi avec le sourire"
    assert read_text(words.encode(), "text/html; charset=iso-8859-1", URL) == words
    assert read_text(words.encode("cp1252"), "text/html; charset=iso-8859-1", URL) == words
    marked = f'<meta charset="windows-1252">{words}'
    assert read_text(marked.encode("cp1252"), "text/html", URL) == marked
    for body in (words.encode("cp1252"), words.encode()[:3] + b"\xc3"):
        with pytest.raises(EncodingError, match="utf-8"):
            read_text(body, "text/html; charset=utf-8", URL)
    with pytest.raises(EncodingError, match="no-such"):
        read_text(b"\xff\xfe", "text/html; charset=no-such", URL)


def test_real_saved_pages_are_read_alike_from_every_source(shared):
    for name, announced in (("2026-en", 290), ("2025-fr", 24)):
        html = (shared / "pages" / f"trustpilot-review-{name}.html").read_text(encoding="utf-8")
        page = layout_of("trustpilot").review_page(html, URL)
        assert page.announced == announced and page.next_url == f"{URL}?page=2"
        assert len(page.cards) == 20 and page.company and page.website and page.logo
        assert {card.language for card in page.cards} <= {name[-2:], "en"}
        facts = [(card.id, card.stars, card.date) for card in page.cards]
        for source in (NextData(), Summary(), Attributes()):
            alone = TrustpilotLayout("alone", (source,)).review_page(html, URL)
            assert [(card.id, card.stars, card.date) for card in alone.cards] == facts
            assert (alone.company, alone.website) == (page.company, page.website)
            words = [card.text.split() for card in page.cards]
            same = sum(a.text.split() == b for a, b in zip(alone.cards, words, strict=True))
            assert same >= 13  # the summary leaves out line breaks, and the space that they are


def test_a_real_saved_list_of_companies_is_read_alike_from_every_source(shared):
    html = (shared / "pages" / "trustpilot-category-2020.html").read_text(encoding="utf-8")
    url = "https://www.trustpilot.com/categories/shipping_logistics"
    companies = layout_of("trustpilot").company_list(html, url)
    assert len(companies.urls) == 20 and companies.next_url == f"{url}?page=2"
    assert TrustpilotLayout("alone", (Attributes(),)).company_list(html, url) == companies
    assert len(layout_of("trustpilot").sub_categories(html, url)) > 1000
    with pytest.raises(LayoutError):
        layout_of("trustpilot").review_page(html, url)
