"""Finding companies: real browsers on a real practice site, well-behaved and not."""

import os
import signal
from collections import Counter

import pandas as pd
import pytest
from collecting import (
    WORLD,
    alive,
    drivers_of,
    end,
    gone_within,
    guest_at,
    small_site,
    start,
    wait_until,
)

from starwise.collect import browser as browsers
from starwise.collect.browser import browser
from starwise.collect.categories import read_categories
from starwise.collect.companies import find_companies
from starwise.collect.errors import CollectError
from starwise.practice.directory import Directory
from starwise.practice.server import serve
from starwise.practice.world import make_world

PLACE = Directory(WORLD).place_of(WORLD.companies[0])


@pytest.fixture(scope="module")
def site():
    with small_site() as running:
        yield running


def quiet(line: str) -> None:
    """Hear a line of progress and say nothing."""


def one_list(running, slug: str = PLACE.slug) -> pd.DataFrame:
    row = {"category": "A", "sub_category": "B", "url": f"{running.url}/categories/{slug}"}
    return pd.DataFrame([row])


@pytest.mark.browser
def test_every_company_is_found_in_its_place(site):
    guest = guest_at(site)
    found = find_companies(guest, read_categories(guest), tell=quiet)
    assert list(found.companies.columns) == ["category", "sub_category", "company_url"]
    assert not found.given_up
    rows = found.companies.itertuples(index=False)
    assert Counter((row[0], row[1], row[2].rsplit("/", 1)[1]) for row in rows) == Counter(
        (one.category, one.sub_category, one.slug) for one in WORLD.companies
    )


@pytest.mark.browser
def test_one_browser_or_two_find_the_same_companies_in_the_same_order(site):
    guest = guest_at(site)
    lists = read_categories(guest)
    tables = [find_companies(guest, lists, browsers=n, tell=quiet).companies for n in (1, 2)]
    pd.testing.assert_frame_equal(*tables)
    few = find_companies(guest, lists, max_companies=5, tell=quiet).companies
    pd.testing.assert_frame_equal(few, tables[0].head(5))


@pytest.mark.browser
def test_companies_on_the_next_page_of_a_list_are_found():
    with serve(companies=320, reviews=320) as running:
        guest = guest_at(running)
        world = make_world(companies=320, reviews=320)
        sizes = Counter((one.category, one.sub_category) for one in world.companies)
        (category, name), most = sizes.most_common(1)[0]
        lists = read_categories(guest)
        longest = lists[(lists.category == category) & (lists.sub_category == name)]
        found = find_companies(guest, longest, tell=quiet)
    assert len(found.companies) == most and found.pages > 1


FAULTS = {
    "500": ("/categories/{slug}", ""),
    "drop": ("/api/companies", ""),
    "500-always": ("/categories/{slug}", "answered 500"),
    "403": ("/categories/{slug}", "answered 403"),
    "login": ("/categories/{slug}", "#companies"),
    "empty": ("/categories/{slug}", "#companies"),
    "redirect": ("/categories/{slug}", "ERR_NAME_NOT_RESOLVED"),
    "same-next": ("/api/companies", "goes round in a circle"),
    "endless": ("/api/companies", "max_pages"),
}


@pytest.mark.browser
@pytest.mark.parametrize("kind", FAULTS)
def test_a_list_that_misbehaves_is_read_all_the_same_or_given_up_in_a_sentence(kind, monkeypatch):
    monkeypatch.setattr("starwise.collect.drawn.WAIT_SECONDS", 1)
    address, complaint = FAULTS[kind]
    with small_site(f"{kind}@{address.format(slug=PLACE.slug)}") as running:
        search = {"tell": quiet, "max_pages": 8}
        if not complaint:
            found = find_companies(guest_at(running), one_list(running), **search)
            assert found.companies.company_url.str.endswith(WORLD.companies[0].slug).any()
        else:
            with pytest.raises(CollectError, match="Only 0 of 1 lists") as error:
                find_companies(guest_at(running), one_list(running), **search)
            assert complaint in str(error.value) and running.url in str(error.value)


@pytest.mark.browser
def test_a_page_of_fifty_megabytes_is_no_list(monkeypatch):
    monkeypatch.setattr("starwise.collect.drawn.TRIES", 1)
    monkeypatch.setattr("starwise.collect.drawn.WAIT_SECONDS", 1)
    monkeypatch.setattr(browsers, "PAGE_SECONDS", 2)
    with (
        small_site(f"huge@/categories/{PLACE.slug}") as running,
        pytest.raises(CollectError, match=r"Only 0 of 1 lists.*(larger|in time)"),
    ):
        find_companies(guest_at(running), one_list(running), tell=quiet)


def test_without_a_browser_one_sentence_says_what_to_install(site, monkeypatch):
    monkeypatch.setattr(browsers, "find_browser", lambda: "/nowhere/chrome")
    monkeypatch.setattr(browsers, "find_driver", lambda: "/nowhere/chromedriver")
    with pytest.raises(CollectError, match="apt install chromium"), browser():
        pass
    with pytest.raises(CollectError, match="apt install chromium"):
        find_companies(guest_at(site), one_list(site), tell=quiet)


@pytest.mark.browser
def test_no_browser_is_left_after_an_error_in_its_block():
    with pytest.raises(ZeroDivisionError), browser() as driver:
        group = driver.service.process.pid
        assert alive(group)
        1 / 0  # noqa: B018
    assert gone_within(group, seconds=5)


@pytest.mark.browser
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_browser_is_left_when_its_process_is_killed(number):
    program = (
        "import time; from starwise.collect.browser import browser\n"
        "with browser() as driver: print(driver.service.process.pid, flush=True); time.sleep(60)"
    )
    process = start(program)
    group = int(process.stdout.readline())
    assert alive(group)
    end(process, number)
    assert gone_within(group, seconds=10)


@pytest.mark.browser
def test_an_interrupted_search_leaves_no_browser(site):
    guest = guest_at(site)
    lists = pd.concat([read_categories(guest)] * 20)
    lists["url"] += [f"?again={number}" for number in range(len(lists))]
    others = set(drivers_of(os.getpid()))  # browsers of other tests
    groups = []

    def interrupt(line: str) -> None:
        """Stands in for a learner who presses "interrupt" while the cell runs."""
        groups.extend(set(drivers_of(os.getpid())) - others)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_companies(guest, lists, tell=interrupt)
    assert len(groups) == 2 and all(gone_within(group, seconds=10) for group in groups)
    wait_until(lambda: set(drivers_of(os.getpid())) <= others)
