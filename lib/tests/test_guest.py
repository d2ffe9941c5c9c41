"""A good guest: what it asks for, how often, under which name, and what it asks its user first."""

import json
import time
from contextlib import contextmanager

import pandas as pd
import pytest
from collecting import WORLD, companies_of, in_file, in_world, small_site

from starwise.collect import guest as guests
from starwise.collect.categories import read_categories
from starwise.collect.companies import find_companies
from starwise.collect.errors import CollectError
from starwise.collect.guest import Guest
from starwise.collect.manners import settings_for
from starwise.collect.pages import PageCache
from starwise.collect.reviews import collect_reviews, orders_for
from starwise.collect.waits import wanted_pause

CONTACT = "me@example.org"


def quiet(line: str) -> None:
    """Hear a line of progress and say nothing."""


@contextmanager
def somebody_elses_site(monkeypatch, faults: str = ""):
    """Serve the practice site so that it counts as somebody else's, with short pauses.

    Its address is on this machine, but not one of those that we take for it.
    """
    monkeypatch.setattr(guests, "PAUSE_SECONDS", 0.05)
    with small_site(faults, host="127.0.0.2") as running:
        yield running


def test_a_real_site_asks_for_a_contact_and_is_told_plainly():
    with pytest.raises(CollectError, match="contact"):
        Guest("trustpilot")
    guest = Guest("trustpilot", contact=CONTACT)
    assert CONTACT in guest.user_agent
    assert "one page at a time" in guest.plan() and guest.url in guest.plan()
    with pytest.raises(CollectError, match="practice, trustpilot"):
        Guest("elsewhere")


@pytest.mark.browser
def test_nothing_is_asked_of_a_real_site_before_its_visitor_says_yes_really(monkeypatch, tmp_path):
    with somebody_elses_site(monkeypatch) as running:
        guest = Guest("practice", running.url, CONTACT)
        assert not guest.is_local and "yes_really" in guest.plan()
        # Whatever would ask something asks first whether it may.
        monkeypatch.setattr(Guest, "_get", None)
        lists = pd.DataFrame({"category": ["A"], "sub_category": ["B"], "url": [running.url]})
        for ask in (
            lambda: read_categories(guest),
            lambda: find_companies(guest, lists, tell=quiet),
            lambda: collect_reviews(
                guest, companies_of(WORLD, running.url), tmp_path / "r.csv", tell=quiet
            ),
        ):
            with pytest.raises(CollectError, match=r"Nothing was asked of 127.0.0.2.*yes_really"):
                ask()
        assert "yes_really" not in Guest("practice", running.url, CONTACT, True).plan()


def test_elsewhere_the_spider_is_slow_alone_and_obedient(monkeypatch, tmp_path):
    def settings(guest: Guest) -> dict:
        return settings_for(orders_for(guest, [guest.url], tmp_path / "part", concurrency=32))

    monkeypatch.setattr(Guest, "robots", "User-agent: *\nCrawl-delay: 7\n")
    here = settings(Guest("practice", "http://127.0.0.1:9"))
    there = settings(Guest("trustpilot", contact=CONTACT, yes_really=True))
    assert here["CONCURRENT_REQUESTS"] == 32 and not here["DOWNLOAD_DELAY"]
    assert there["CONCURRENT_REQUESTS"] == there["CONCURRENT_REQUESTS_PER_DOMAIN"] == 1
    assert there["AUTOTHROTTLE_ENABLED"] and there["DOWNLOAD_DELAY"] == 7  # as robots.txt asks
    for either in (here, there):
        assert either["ROBOTSTXT_OBEY"] and either["DOWNLOAD_MAXSIZE"] <= 10_000_000
        assert either["DOWNLOAD_TIMEOUT"] <= 15
    assert CONTACT in there["USER_AGENT"]


@pytest.mark.browser
def test_a_rerun_asks_a_real_site_for_nothing_twice(monkeypatch, tmp_path):
    path = tmp_path / "reviews.csv"
    with somebody_elses_site(monkeypatch) as running:
        guest = Guest("practice", running.url, CONTACT, True, cache=tmp_path / "pages")
        lists = read_categories(guest).head(4)
        found = find_companies(guest, lists, tell=quiet)
        first = collect_reviews(guest, found.companies, path, tell=quiet)
        rows = path.read_bytes()
    assert first.reviews > 0
    # The site is gone: whoever asks it for anything fails.
    again = Guest("practice", guest.url, CONTACT, True, cache=tmp_path / "pages")
    found_again = find_companies(again, read_categories(again).head(4), tell=quiet)
    second = collect_reviews(again, found_again.companies, path, max_pages=0, tell=quiet)
    assert path.read_bytes() == rows and second.reviews == first.reviews
    assert found_again.companies.equals(found.companies)


def test_a_page_that_was_no_page_is_not_kept(monkeypatch, tmp_path):
    slug = WORLD.companies[0].slug
    companies = [f"/review/{slug}"]
    with somebody_elses_site(monkeypatch, f"login@/review/{slug}") as running:
        guest = Guest("practice", running.url, CONTACT, True, cache=tmp_path / "pages")
        table = pd.DataFrame({"company_url": [running.url + one for one in companies]})
        with pytest.raises(CollectError, match="company-name"):
            collect_reviews(guest, table, tmp_path / "reviews.csv", tell=quiet)
        assert guest.pages.get(f"{running.url}/review/{slug}") is None
        assert guest.pages.get(f"{running.url}/robots.txt")


def test_a_retry_after_holds_back_every_page_of_a_real_site(monkeypatch, tmp_path):
    slug = WORLD.companies[0].slug
    with somebody_elses_site(monkeypatch, f"429@/review/{slug},429@/categories") as running:
        guest = Guest("practice", running.url, CONTACT, True)
        began = time.monotonic()
        assert len(read_categories(guest)) > 0
        assert time.monotonic() - began >= 2
        few = companies_of(WORLD, running.url).head(3)
        began = time.monotonic()
        collect_reviews(guest, few, tmp_path / "reviews.csv", tell=quiet)
        assert time.monotonic() - began >= 2
    rows = in_file(tmp_path / "reviews.csv")
    own = {one.id for company in WORLD.companies[:3] for one in WORLD.reviews_of(company.slug)}
    assert rows == {id: row for id, row in in_world().items() if id in own}


def test_a_real_site_that_asks_for_an_hour_is_asked_for_nothing_more(monkeypatch, tmp_path):
    with somebody_elses_site(monkeypatch, "429-long@/review/") as running:
        guest = Guest("practice", running.url, CONTACT, True)
        with pytest.raises(CollectError, match=r"come back in 3,600 s, and we wait for 120 s"):
            collect_reviews(
                guest, companies_of(WORLD, running.url), tmp_path / "reviews.csv", tell=quiet
            )
    told = json.loads((tmp_path / "coverage.json").read_text("utf-8"))
    why = [reason for one in told["companies"] for reason in one["why"]]
    assert len(why) == len(WORLD.companies)
    assert sum(reason.endswith("answered 429") for reason in why) == 1, "one page was asked for"


@pytest.mark.browser
def test_the_browser_gives_a_busy_real_site_time_though_it_does_not_say_how_much(monkeypatch):
    monkeypatch.setattr("starwise.collect.drawn.BUSY_SECONDS", 1)
    with somebody_elses_site(monkeypatch, "500@/categories/") as running:
        guest = Guest("practice", running.url, CONTACT, True)
        began = time.monotonic()
        found = find_companies(guest, read_categories(guest).head(1), tell=quiet)
        assert time.monotonic() - began >= 1 + 2 and not found.given_up


def test_c3_the_categories_are_asked_for_again_when_they_break_off_or_never_come(monkeypatch):
    monkeypatch.setattr(guests, "TIMEOUT_SECONDS", 1)
    whole = "drop@/robots.txt,cut@/categories,silence@/categories"
    with small_site(whole) as running:
        found = read_categories(Guest("practice", running.url))
    assert len(found) == len({(one.category, one.sub_category) for one in WORLD.companies})


def test_a_retry_after_is_read_as_seconds_or_as_a_date():
    assert wanted_pause("2") == 2
    assert wanted_pause("") == 0 and wanted_pause("soon") == 0
    soon = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    assert 25 < wanted_pause(soon) <= 30


def test_kept_pages_are_young_whole_and_of_their_own_address(tmp_path):
    pages = PageCache(tmp_path)
    pages.put("http://a/1", "one\ntwo \ud800")
    assert pages.get("http://a/1") == "one\ntwo ?" and pages.get("http://a/2") is None
    (kept,) = tmp_path.rglob("*.gz")
    kept.write_bytes(kept.read_bytes()[:-5])
    assert pages.get("http://a/1") is None
    assert PageCache(tmp_path, hours=0).get("http://a/1") is None and not kept.exists()
    PageCache(None).put("http://a/1", "nowhere")
    assert PageCache(None).get("http://a/1") is None
