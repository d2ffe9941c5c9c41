"""Collecting: a real browser and a real spider on a real practice site, well-behaved and not."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from starwise.collect import browser as browsers
from starwise.collect.browser import browser
from starwise.collect.categories import read_categories
from starwise.collect.companies import find_companies
from starwise.collect.errors import CollectError, LayoutError
from starwise.collect.guest import Guest
from starwise.collect.layouts import layout_of
from starwise.collect.patience import wanted_pause
from starwise.collect.reviews import COLUMNS, _write, collect_reviews, read_reviews
from starwise.practice.server import serve
from starwise.practice.world import make_world

COMPANIES, REVIEWS = 12, 600
FIXTURES = Path(__file__).parent / "pages"


@pytest.fixture(scope="module")
def world():
    return make_world(companies=COMPANIES, reviews=REVIEWS)


@pytest.fixture(scope="module")
def site():
    with serve(companies=COMPANIES, reviews=REVIEWS) as running:
        yield running


def guest_at(running) -> Guest:
    return Guest("practice", running.url)


def companies_of(world, url: str) -> pd.DataFrame:
    """The table that Selenium would find, without a browser."""
    return pd.DataFrame({"company_url": [f"{url}/review/{one.slug}" for one in world.companies]})


def crawl(world, running, path: Path, **options):
    """Collect all of `world` from a running site; return the result and the lines told."""
    told: list[str] = []
    guest = guest_at(running)
    companies = companies_of(world, running.url)
    return collect_reviews(guest, companies, path, tell=told.append, **options), told


def in_world(world) -> dict[str, tuple]:
    """Every review with text, by id."""
    return {one.id: (one.text, one.rating, one.title) for one in world.reviews if one.text.strip()}


def in_file(path: Path) -> dict[str, tuple]:
    frame = read_reviews(path)
    assert frame.columns.tolist() == COLUMNS and frame.id.is_unique
    rows = zip(frame.id, frame.comment, frame.rating, frame.title, strict=True)
    return {id: tuple(row) for id, *row in rows}


@pytest.mark.browser
def test_the_whole_way_gives_the_world_back_to_the_letter(site, world, tmp_path):
    guest = guest_at(site)
    sub_categories = read_categories(guest)
    found = find_companies(guest, sub_categories, tell=lambda line: None)
    assert list(found.companies.columns) == ["category", "sub_category", "company_url"]
    assert not found.given_up
    rows = found.companies.itertuples(index=False)
    assert Counter((row[0], row[1], row[2].rsplit("/", 1)[1]) for row in rows) == Counter(
        (one.category, one.sub_category, one.slug) for one in world.companies
    )
    path = tmp_path / "reviews.csv"
    collected = collect_reviews(guest, found.companies, path, tell=lambda line: None)
    assert in_file(path) == in_world(world)
    assert collected.coverage == 1 and collected.tally.cards == REVIEWS
    silent = sum(not one.text.strip() for one in world.reviews)
    assert collected.tally.without_text == silent > 0


def test_collecting_twice_in_one_process_gives_the_same_rows_in_the_same_order(
    site, world, tmp_path
):
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    crawl(world, site, first)
    crawl(world, site, second)
    assert first.read_bytes() == second.read_bytes()
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.browser
def test_companies_on_the_next_page_of_a_list_are_found():
    with serve(companies=320, reviews=320) as running:
        guest = guest_at(running)
        world = make_world(companies=320, reviews=320)
        sizes = Counter((one.category, one.sub_category) for one in world.companies)
        (category, name), most = sizes.most_common(1)[0]
        lists = read_categories(guest)
        longest = lists[(lists.category == category) & (lists.sub_category == name)]
        found = find_companies(guest, longest, tell=lambda line: None)
    assert len(found.companies) == most and found.pages > 1


@pytest.mark.browser
@pytest.mark.parametrize("victim", ["driver", "browser"])
def test_a_browser_that_dies_meanwhile_fails_the_search_in_a_sentence(site, victim):
    guest = guest_at(site)
    lists = read_categories(guest)

    def kill_once(line: str) -> None:
        """Stands in for a person who reads the first line of progress and kills something."""
        drivers = [pid for pid in children_of(os.getpid()) if "chromedriver" in command_of(pid)]
        for driver in drivers:
            for pid in [driver] if victim == "driver" else children_of(driver):
                os.kill(pid, signal.SIGKILL)

    long = pd.concat([lists] * 20)
    with pytest.raises(CollectError, match=r"Only \d+ of \d+ lists .*browser"):
        find_companies(guest, long, tell=kill_once)


def test_passing_troubles_cost_time_and_no_rows(world, tmp_path):
    slugs = [one.slug for one in world.companies if len(world.reviews_of(one.slug)) > 20]
    troubles = ["429", "500", "drop", "cut"]
    spec = ",".join(f"{kind}@/review/{slug}" for kind, slug in zip(troubles, slugs, strict=False))
    # One page only: each silence lasts until the spider's patience ends.
    spec += f",silence@/review/{slugs[-1]}?page=2"
    with serve(companies=COMPANIES, reviews=REVIEWS, faults=spec) as running:
        began = time.monotonic()
        collected, _ = crawl(world, running, tmp_path / "reviews.csv")
        assert time.monotonic() - began >= 2  # as Retry-After asks
    assert in_file(tmp_path / "reviews.csv") == in_world(world)
    assert collected.tally.given_up == 0


def test_too_little_coverage_fails_and_leaves_the_former_file(world, tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_text("of yesterday")
    slug, told = world.companies[0].slug, []
    spec = f"500-always@/review/{slug}"
    with serve(companies=COMPANIES, reviews=REVIEWS, faults=spec) as running:
        companies = companies_of(world, running.url)
        with pytest.raises(CollectError, match=f"min_coverage.*/review/{slug}: answered 500"):
            collect_reviews(guest_at(running), companies, path, tell=told.append)
    assert path.read_text() == "of yesterday"
    assert any("1 given up" in line for line in told)
    assert any(f"{slug}: answered 500" in line for line in told)


def test_a_card_without_text_or_stars_is_counted_and_its_neighbours_keep_theirs(world, tmp_path):
    busiest = max(world.companies, key=lambda one: len(world.reviews_of(one.slug)))
    spec = f"cards@/review/{busiest.slug}"
    with serve(companies=COMPANIES, reviews=REVIEWS, faults=spec) as running:
        collected, _ = crawl(world, running, tmp_path / "reviews.csv")
    rows, truth = in_file(tmp_path / "reviews.csv"), in_world(world)
    assert all(truth[id] == row for id, row in rows.items())
    # Of every page the first four cards are spoiled: one in its text, three in their stars.
    pages = -(-len(world.reviews_of(busiest.slug)) // 20)
    assert 2 * pages < collected.tally.without_stars <= 3 * pages
    assert collected.tally.cards == REVIEWS


@pytest.mark.parametrize("fault", ["same-next", "endless"])
def test_pages_without_end_are_left_and_the_reason_is_told(world, tmp_path, fault):
    busiest = max(world.companies, key=lambda one: len(world.reviews_of(one.slug)))
    spec = f"{fault}@/review/{busiest.slug}"
    with serve(companies=COMPANIES, reviews=REVIEWS, faults=spec) as running:
        collected, told = crawl(world, running, tmp_path / "reviews.csv", min_coverage=0)
    assert collected.tally.stopped == 1
    assert any(line.strip().startswith(busiest.name) for line in told)
    assert len(in_file(tmp_path / "reviews.csv")) < len(in_world(world))


@pytest.mark.browser
def test_what_robots_txt_forbids_is_not_asked_for(world, tmp_path):
    with serve(companies=COMPANIES, reviews=REVIEWS, faults="robots") as running:
        guest = guest_at(running)
        with pytest.raises(CollectError, match=r"robots\.txt"):
            read_categories(guest)
        lists = pd.DataFrame(
            {"category": ["A"], "sub_category": ["B"], "url": [f"{running.url}/categories/b"]}
        )
        with pytest.raises(CollectError, match=r"robots\.txt"):
            find_companies(guest, lists, tell=lambda line: None)
        with pytest.raises(CollectError, match=r"robots\.txt"):
            crawl(world, running, tmp_path / "reviews.csv")


def test_foreign_hosts_and_huge_pages_are_refused(world, tmp_path):
    one, other = world.companies[0].slug, world.companies[1].slug
    spec = f"redirect@/review/{one},huge@/review/{other}"
    with serve(companies=COMPANIES, reviews=REVIEWS, faults=spec) as running:
        collected, told = crawl(world, running, tmp_path / "reviews.csv", min_coverage=0)
    assert collected.tally.given_up == 2
    assert any("another host" in line for line in told)
    assert any("larger than" in line for line in told)


def test_a_real_site_asks_for_a_contact_and_is_told_plainly():
    with pytest.raises(CollectError, match="contact"):
        Guest("trustpilot")
    guest = Guest("trustpilot", contact="me@example.org")
    assert "me@example.org" in guest.user_agent
    assert "one page at a time" in guest.plan() and guest.url in guest.plan()
    with pytest.raises(CollectError, match="practice, trustpilot"):
        Guest("elsewhere")


def test_a_retry_after_is_read_as_seconds_or_as_a_date():
    assert wanted_pause("2") == 2
    assert wanted_pause("") == 0 and wanted_pause("soon") == 0
    soon = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    assert 25 < wanted_pause(soon) <= 30


def test_every_character_of_a_comment_survives_the_file(tmp_path):
    odd = [
        "two\nlines",
        "three\r\nmore\rlines",
        'a "quote", a comma',
        "NA",
        "null",
        " padded ",
        "1",
    ]
    lines = [
        pd.Series({"place": [0, 1, n], "id": f"id{n}", "comment": text, "rating": 3})
        for n, text in enumerate(odd)
    ]
    (tmp_path / "part").write_text("".join(line.to_json() + "\n" for line in lines))
    _write(tmp_path / "part", tmp_path / "reviews.csv")
    assert read_reviews(tmp_path / "reviews.csv").comment.tolist() == odd


LOGIN = "<html><title>Log in</title><form>Please log in</form></html>"


@pytest.mark.parametrize("html", ["", LOGIN, "<<<>>>", "\ufffd\ufffd"])
@pytest.mark.parametrize("site_name", ["practice", "trustpilot"])
@pytest.mark.parametrize("reading", ["sub_categories", "company_list", "review_page"])
def test_a_foreign_page_is_refused_with_its_address_and_what_it_lacks(site_name, reading, html):
    with pytest.raises(LayoutError) as error:
        getattr(layout_of(site_name), reading)(html, "http://here/page")
    assert "http://here/page" in str(error.value) and error.value.selector in str(error.value)


def test_a_page_that_announces_reviews_and_shows_none_is_refused(site, world):
    html = guest_at(site).fetch(f"{site.url}/review/{world.companies[0].slug}")
    with pytest.raises(LayoutError, match="review-card"):
        layout_of("practice").review_page(html.replace("review-card", "card"), "http://here")


def test_trustpilot_reviews_are_read_from_the_data_of_the_page():
    html = (FIXTURES / "trustpilot-review.html").read_text(encoding="utf-8")
    page = layout_of("trustpilot").review_page(html, "https://www.trustpilot.com/review/a.example")
    assert (page.company, page.website, page.announced) == ("A & Co", "https://a.example", 5)
    assert [(card.text, card.stars) for card in page.cards] == [
        ("It came <late>,\nbut it came.", 3),
        ("", 5),
        ("No stars here", None),
    ]
    assert page.cards[0].title == "Late" and page.cards[0].date == "2026-02-11"
    assert page.next_url == "https://www.trustpilot.com/review/a.example?page=2"


def test_trustpilot_lists_are_read_from_the_data_of_the_page():
    layout = layout_of("trustpilot")
    html = (FIXTURES / "trustpilot-category.html").read_text(encoding="utf-8")
    url = "https://www.trustpilot.com/categories/book_store"
    (book_store,) = layout.sub_categories(html, url)
    assert (book_store.category, book_store.name, book_store.url) == ("Books", "Book Store", url)
    companies = layout.company_list(html, url)
    assert companies.urls == [
        "https://www.trustpilot.com/review/one.example",
        "https://www.trustpilot.com/review/two.example",
    ]
    assert companies.next_url == f"{url}?page=2"


def test_real_saved_pages_of_trustpilot_are_read(shared):
    layout = layout_of("trustpilot")
    for name, announced in (("2026-en", 290), ("2025-fr", 24)):
        html = (shared / "pages" / f"trustpilot-review-{name}.html").read_text(encoding="utf-8")
        page = layout.review_page(html, "https://www.trustpilot.com/review/x")
        assert page.announced == announced and len(page.cards) == 20
        assert all(card.stars and card.id for card in page.cards) and page.next_url
    html = (shared / "pages" / "trustpilot-category-2020.html").read_text(encoding="utf-8")
    companies = layout.company_list(html, "https://www.trustpilot.com/categories/x")
    assert len(companies.urls) == len(set(companies.urls)) > 10 and companies.next_url
    assert len(layout.sub_categories(html, "https://www.trustpilot.com/categories")) > 1000


def test_without_a_browser_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(browsers, "find_browser", lambda: "/nowhere/chrome")
    monkeypatch.setattr(browsers, "find_driver", lambda: "/nowhere/chromedriver")
    with pytest.raises(CollectError, match="apt install chromium"), browser():
        pass


@pytest.mark.browser
def test_no_browser_is_left_after_an_error_in_its_block():
    with pytest.raises(ZeroDivisionError), browser() as driver:
        group = driver.service.process.pid
        assert alive(group)
        1 / 0  # noqa: B018
    assert gone_within(group, seconds=5)


@pytest.mark.browser
def test_no_browser_is_left_when_its_process_is_killed():
    program = (
        "import time; from starwise.collect.browser import browser\n"
        "with browser() as driver: print(driver.service.process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    group = int(parent.stdout.readline())
    assert alive(group)
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    assert gone_within(group, seconds=5)


def test_after_a_kill_in_mid_crawl_nothing_is_left_and_the_next_run_is_whole(site, world, tmp_path):
    program = (
        "import sys, pandas; from pathlib import Path\n"
        "from starwise.collect.guest import Guest\n"
        "from starwise.collect.reviews import collect_reviews\n"
        "guest = Guest('practice', sys.argv[1])\n"
        "companies = pandas.DataFrame({'company_url': sys.argv[3:]})\n"
        "collect_reviews(guest, companies, Path(sys.argv[2]), concurrency=1)"
    )
    path, part = tmp_path / "reviews.csv", tmp_path / "reviews.csv.part"
    urls = companies_of(world, site.url).company_url.tolist()
    parent = subprocess.Popen([sys.executable, "-c", program, site.url, str(path), *urls])
    while parent.poll() is None and not (part.exists() and part.stat().st_size):
        time.sleep(0.01)
    assert parent.poll() is None, "the crawl was over before it could be killed"
    spiders = children_of(parent.pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert spiders and all(gone_within(spider, seconds=5) for spider in spiders)
    assert not path.exists()
    crawl(world, site, path)
    assert in_file(path) == in_world(world)


def processes() -> list[tuple[int, int, int]]:
    """(id, parent, group) of every process that still runs."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,pgid=,stat="], capture_output=True, text=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [tuple(map(int, row[:3])) for row in rows if not row[3].startswith("Z")]


def children_of(pid: int) -> list[int]:
    return [one for one, parent, _ in processes() if parent == pid]


def command_of(pid: int) -> str:
    asked = ["ps", "-o", "args=", "-p", str(pid)]
    return subprocess.run(asked, capture_output=True, text=True).stdout


def alive(group: int) -> bool:
    return any(group in (pid, its_group) for pid, _, its_group in processes())


def gone_within(group: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while alive(group):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
