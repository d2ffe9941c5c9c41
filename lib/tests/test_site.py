"""The practice site: its pages, its escaping, its server, its faults."""

import datetime
import math
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from parsel import Selector
from starlette.testclient import TestClient

from starwise.cli import main as starwise
from starwise.errors import StarwiseError
from starwise.practice.directory import Directory, slugify
from starwise.practice.faults import parse_faults
from starwise.practice.server import PracticeError, serve
from starwise.practice.site import REVIEWS_A_PAGE, make_site
from starwise.practice.world import Company, Review, World, make_world

NASTY = "<script>alert('x')</script> & \"quotes\" <img src=x onerror=y>\n\n  two\r\nlines\ttab 😀 é"


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(seed=1, companies=40, reviews=900)


@pytest.fixture(scope="module")
def site(world) -> TestClient:
    return TestClient(make_site(world))


def world_of(*texts: str, name: str = "Odd & Sons", website: str = "https://odd.example") -> World:
    """A world of one company, one review for each text."""
    company = Company("odd", name, website, "A <b>", "C & D", "<i>odd</i>")
    day = datetime.date(2026, 1, 2)
    unknown = (math.nan,) * 3
    reviews = tuple(
        Review(f"id{number}", "odd", 4, f"Title {text[:9]}", text, "<Ann>", day, unknown)
        for number, text in enumerate(texts)
    )
    return World({"A <b>": ["C & D"]}, (company,), reviews)


def test_every_company_and_review_is_reached_by_following_links(site, world):
    reviews, companies = set(), set()
    for sub_category in Selector(site.get("/categories").text).css("a.sub-category::attr(href)"):
        slug = sub_category.get().rsplit("/", 1)[1]
        page, last = 1, 1
        while page <= last:
            params = {"sub_category": slug, "page": page}
            answer = site.get("/api/companies", params=params).json()
            companies |= {company["url"] for company in answer["companies"]}
            page, last = page + 1, answer["pages"]
    for url in companies:
        while url:
            html = Selector(site.get(url).text)
            reviews |= set(html.css("article.review-card::attr(data-review-id)").getall())
            url = html.css("a.next-page::attr(href)").get()
    assert len(companies) == len(world.companies)
    assert reviews == {review.id for review in world.reviews}


def test_a_page_of_reviews_holds_twenty(site, world):
    busiest = max(world.companies, key=lambda company: len(world.reviews_of(company.slug)))
    html = Selector(site.get(f"/review/{busiest.slug}").text)
    assert len(html.css("article.review-card")) == REVIEWS_A_PAGE


def test_the_list_of_companies_is_not_in_the_html(site, world):
    slug = Directory(world).place_of(world.companies[0]).slug
    html = site.get(f"/categories/{slug}").text
    assert world.companies[0].name not in html
    assert "noscript" in html


def test_markup_in_a_review_is_shown_as_text():
    html = TestClient(make_site(world_of(NASTY))).get("/review/odd").text
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert Selector(html).css(".review-text::text").get() == NASTY
    assert Selector(html).css("h1.company-name::text").get() == "Odd & Sons"


def test_a_website_that_is_a_script_is_no_link():
    odd = world_of("fine", website="javascript:alert(1)")
    assert "javascript:" not in TestClient(make_site(odd)).get("/review/odd").text


def test_a_review_without_text_says_so_and_keeps_its_stars():
    html = Selector(TestClient(make_site(world_of("", "words"))).get("/review/odd").text)
    silent, spoken = html.css("article.review-card")
    assert not silent.css(".review-text") and silent.css("img[alt='4 stars: Great']")
    assert spoken.css(".review-text::text").get() == "words"


def test_a_company_without_reviews_has_a_page():
    html = TestClient(make_site(world_of())).get("/review/odd").text
    assert "Nobody has reviewed" in html


@pytest.mark.parametrize(
    "address",
    [
        "/nowhere",
        "/review/nobody",
        "/categories/nothing",
        "/api/companies?sub_category=nothing",
        "/logos/nobody.svg",
        "/static/../site.py",
        "/static/%2e%2e/site.py",
    ],
)
def test_an_unknown_address_is_not_found(site, address):
    assert site.get(address).status_code == 404


@pytest.mark.parametrize("page", ["0", "-1", "abc", "9999", "²", "1" * 50])
def test_a_page_that_is_not_there_is_not_found(site, world, page):
    slug = world.companies[0].slug
    assert site.get(f"/review/{slug}", params={"page": page}).status_code == 404


def test_robots_txt_keeps_programs_from_one_corner_that_exists(site):
    assert "Disallow: /private/" in site.get("/robots.txt").text
    assert site.get("/private/").status_code == 200
    assert site.get("/private").status_code == 200


def test_logos_and_icon_are_pictures(site, world):
    for address in (f"/logos/{world.companies[0].slug}.svg", "/favicon.ico"):
        answer = site.get(address)
        assert answer.headers["content-type"].startswith("image/svg") and "<svg" in answer.text


def test_no_page_asks_another_host_for_anything(site, world):
    for address in ("/", "/categories", f"/review/{world.companies[0].slug}", "/static/site.css"):
        page = site.get(address).text
        sources = Selector(page).css("[src]::attr(src), link::attr(href)").getall()
        assert all(source.startswith("/") for source in sources)
        assert "@import" not in page and "url(http" not in page


def test_two_sub_categories_of_one_name_have_two_addresses():
    company = Company("a", "A", "", "Two", "Same", "")
    directory = Directory(World({"One": ["Same"], "Two": ["Same"]}, (company,), ()))
    assert len(directory.sub_categories) == 2
    assert directory.place_of(company).category == "Two"


def test_a_name_without_latin_letters_has_an_address():
    assert slugify("Ünder & Över") == "under-over"
    assert slugify("日本") == "other"


def test_a_site_is_served_while_its_block_runs():
    with serve(seed=2, companies=3, reviews=30) as running:
        port = int(running.url.rsplit(":", 1)[1])
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_site_ends_when_whoever_started_it_is_killed():
    program = (
        "import time; from starwise.practice.server import serve\n"
        "with serve(companies=3, reviews=30) as site: print(site.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    site = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    assert ended_within(site, seconds=5)


def test_what_is_wrong_with_a_corpus_is_said_in_a_sentence(tmp_path):
    with pytest.raises(PracticeError) as error, serve(corpus=str(tmp_path / "missing.csv")):
        pass
    assert "missing.csv" in str(error.value) and "Traceback" not in str(error.value)


def test_a_port_in_use_is_said_in_a_sentence(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert starwise(["practice", f"--port={port}"]) == 2
    assert f"port {port}" in capsys.readouterr().err


def test_an_unknown_fault_is_named():
    assert [fault.kind for fault in parse_faults("429, drop@/review/a")] == ["429", "drop"]
    with pytest.raises(StarwiseError, match="'typo'"):
        parse_faults("429,typo")


def ended_within(pid: int, seconds: float) -> bool:
    """Tell whether a process ends in time (one that nobody has waited for counts as ended)."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        state = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True
        )
        if not state.stdout.strip() or state.stdout.strip().startswith("Z"):
            return True
        time.sleep(0.05)
    return False
