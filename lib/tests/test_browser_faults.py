"""The browser as a guest: what it receives, how long it waits, and when it stops (C1, C3, C6)."""

import json
import time

import pandas as pd
import pytest
import requests
from collecting import WORLD, guest_at, small_site

from starwise.collect import browser as browsers
from starwise.collect.browser import browser
from starwise.collect.categories import read_categories
from starwise.collect.companies import find_companies
from starwise.collect.errors import CollectError
from starwise.collect.reviews import collect_reviews
from starwise.collect.wire import Wire
from starwise.practice.directory import Directory

pytestmark = pytest.mark.browser

PLACE = Directory(WORLD).place_of(WORLD.companies[0])
PAGE, CALL = f"/categories/{PLACE.slug}", "/api/companies"


@pytest.fixture(scope="module")
def site():
    with small_site() as running:
        yield running


def quiet(line: str) -> None:
    """Hear a line of progress and say nothing."""


def one_list(running) -> pd.DataFrame:
    return pd.DataFrame([{"category": "A", "sub_category": "B", "url": running.url + PAGE}])


def names(table: pd.DataFrame) -> list[str]:
    return table.company_url.str.rsplit("/", n=1).str[1].tolist()


@pytest.fixture(scope="module")
def whole() -> list[str]:
    """The companies of one list, read in peace."""
    with small_site() as running:
        return names(find_companies(guest_at(running), one_list(running), tell=quiet).companies)


def test_what_a_browser_receives_is_counted_as_it_was_sent(site):
    """Each page, script and call once, with its headers; what the browser kept costs nothing."""
    call = f"{CALL}?sub_category={PLACE.slug}&page=1"
    sent = {}
    for address in (PAGE, call, "/static/site.css", "/static/companies.js", "/static/favicon.svg"):
        answer = requests.get(site.url + address, timeout=10)
        head = sum(len(name) + len(value) + 4 for name, value in answer.headers.items())
        sent[address] = len(answer.content) + head + len("HTTP/1.1 200 OK\r\n\r\n")
    with browser(logged=True) as driver:
        wire = Wire(driver)
        for expected in (sum(sent.values()), sum(sent.values()) + sent[PAGE] + sent[call]):
            wire.open(site.url + PAGE)
            assert wire.is_whole(10) and wire.answer.status == 200
            # The picture in the tab comes when it likes.
            until = time.monotonic() + 10
            while wire.bytes < expected * 0.99 and time.monotonic() < until:
                wire.listen()
                time.sleep(0.05)
            assert wire.bytes == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("at", [PAGE, CALL], ids=["page", "call"])
@pytest.mark.parametrize("kind", ["429", "429-date", "503"])
def test_c1_the_browser_comes_back_when_it_was_told_to(kind, at, whole):
    with small_site(f"{kind}@{at}") as running:
        began = time.monotonic()
        found = find_companies(guest_at(running), one_list(running), tell=quiet)
        assert time.monotonic() - began >= 2
    assert names(found.companies) == whole and not found.given_up


def test_c1_a_site_that_asks_for_an_hour_is_left_and_the_run_says_so(tmp_path):
    journal = tmp_path / "companies.csv.part"
    with small_site(f"429-long@{PAGE}") as running:
        guest = guest_at(running)
        lists = pd.concat([one_list(running), read_categories(guest)]).drop_duplicates("url")
        began = time.monotonic()
        with pytest.raises(CollectError, match=r"asks us to come back in 3,600 s.*120 s at most"):
            find_companies(guest, lists, tell=quiet, journal=journal, browsers=1)
        assert time.monotonic() - began < 60
    told = json.loads((tmp_path / "coverage.json").read_text("utf-8"))
    # Nothing further was asked of the site, and each list says why.
    assert all("3,600 s" in one["why"] and not one["pages"] for one in told["lists"])
    assert "3,600 s" in told["ended_early"] and not told["enough"]


@pytest.mark.parametrize("kind", ["silence", "cut", "drop"])
@pytest.mark.parametrize("at", [PAGE, CALL], ids=["page", "call"])
def test_c3_the_browser_asks_again_for_what_broke_off_or_never_came(kind, at, whole, monkeypatch):
    monkeypatch.setattr(browsers, "PAGE_SECONDS", 2)
    monkeypatch.setattr("starwise.collect.drawn.WAIT_SECONDS", 3)
    with small_site(f"{kind}@{at}") as running:
        found = find_companies(guest_at(running), one_list(running), tell=quiet)
    assert names(found.companies) == whole and not found.given_up


def test_c3_a_list_that_breaks_off_for_ever_is_given_up():
    """A browser shows the half that came as if it were all: it must not pass for a short list."""
    with (
        small_site(f"cut-always@{PAGE}") as running,
        pytest.raises(CollectError, match="broke off before its end, after 3 tries"),
    ):
        find_companies(guest_at(running), one_list(running), tell=quiet)


BUDGETS = {"max_pages": 3, "max_megabytes": 0.015, "max_minutes": 0.02}


@pytest.mark.parametrize("name", BUDGETS)
def test_c6_a_budget_ends_the_search_between_pages_and_a_larger_one_goes_on(name, site, tmp_path):
    journal, guest = tmp_path / "companies.csv.part", guest_at(site)
    lists = read_categories(guest)
    search = {"tell": quiet, "journal": journal, "browsers": 1}
    with pytest.raises(CollectError, match=rf"\({name}\).*What was read is kept"):
        find_companies(guest, lists, **search, **{name: BUDGETS[name]})
    told = json.loads((tmp_path / "coverage.json").read_text("utf-8"))
    read = [one for one in told["lists"] if one["whole"]]
    left = [one for one in told["lists"] if not one["whole"]]
    assert left and all(name in one["why"] and not one["pages"] for one in left)
    # Pages and megabytes suffice for a list; how much a second suffices for is the machine's.
    assert read or name == "max_minutes"
    assert all(one["companies"] and not one["why"] for one in read)
    assert name in told["ended_early"]
    found = find_companies(guest, lists, **search)
    assert found.kept_pages == len(read) and not found.ended and not journal.exists()
    assert sorted(names(found.companies)) == sorted(one.slug for one in WORLD.companies)
    told = json.loads((tmp_path / "coverage.json").read_text("utf-8"))
    assert all(one["whole"] for one in told["lists"]) and not told["ended_early"]


def test_c6_the_browser_and_the_spider_share_one_budget(site, tmp_path):
    guest, path = guest_at(site), tmp_path / "reviews.csv"
    pages = {"max_pages": 20}
    found = find_companies(guest, read_categories(guest), tell=quiet, **pages)
    assert found.spent.pages == found.pages < 20 and found.spent.megabytes > 0
    collected = collect_reviews(
        guest, found.companies, path, tell=quiet, min_coverage=0, spent=found.spent, **pages
    )
    assert collected.tally.pages == 20 - found.pages
    assert "the budget of 20 pages (max_pages) is spent" in collected.tally.ended
    # With a larger one the same call goes on, though the former run passed.
    collected = collect_reviews(guest, found.companies, path, tell=quiet, spent=found.spent)
    assert collected.tally.kept_pages == 20 - found.pages and collected.coverage == 1
