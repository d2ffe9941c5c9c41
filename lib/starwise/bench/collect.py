"""Speed and memory of collecting from the practice site, beside the plainest way of doing it.

The rivals are written anew here: a bare Scrapy spider that reads the same pages with the same
number of requests at once and writes its rows as JSON, and the article's loop of one browser and a
wait on each page. Both sides run in turn on the same site in the same minutes, and both are timed
whole, with the start of their processes.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import presence_of_element_located
from selenium.webdriver.support.wait import WebDriverWait

from starwise.bench import Measure, per_second
from starwise.collect.browser import browser
from starwise.collect.categories import read_categories
from starwise.collect.companies import find_companies
from starwise.collect.errors import CollectError
from starwise.collect.guest import Guest
from starwise.collect.reviews import collect_reviews
from starwise.practice.server import serve

TITLE = "the practice site, the plainest way -> ours"
COMPANIES, REVIEWS = 160, 12_000
LISTS = 40  # lists of companies that both loops visit
ROUNDS = 2
CONCURRENCY = 32

BARE_SPIDER = """
import scrapy

class Bare(scrapy.Spider):
    name = "bare"

    async def start(self):
        for url in open(self.companies).read().split():
            yield scrapy.Request(url)

    def parse(self, response):
        for card in response.css("article.review-card"):
            yield {
                "comment": card.css(".review-text::text").get(),
                "rating": card.css(".review-stars img::attr(alt)").get(),
                "url_website": response.url,
                "company_name": response.css("h1.company-name::text").get(),
                "company_website": response.css("a.company-website::attr(href)").get(),
                "company_logo": response.css("img.company-logo::attr(src)").get(),
            }
        for link in response.css("a.next-page"):
            yield response.follow(link)
"""

# Collects a world and tells the peak memory of this process and of the spider, in MB.
MEMORY = """
import json, resource, sys
from pathlib import Path
import pandas
from starwise.collect.guest import Guest
from starwise.collect.reviews import collect_reviews

table = pandas.read_csv(sys.argv[2])
collect_reviews(Guest("practice", sys.argv[1]), table, Path(sys.argv[3]), tell=lambda line: None)
who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
unit = 2**20 if sys.platform == "darwin" else 2**10
print(json.dumps([resource.getrusage(one).ru_maxrss / unit for one in who]))
"""


def measures(seconds: float) -> Iterator[Measure]:
    """Yield the measures; how long they take is given by the site, not by `seconds`."""
    with (
        serve(companies=COMPANIES, reviews=REVIEWS) as site,
        tempfile.TemporaryDirectory() as folder,
    ):
        guest = Guest("practice", site.url)
        lists = read_categories(guest)
        companies = find_companies(guest, lists, tell=_quiet).companies
        yield _reviews(guest, companies, Path(folder))
        yield from _lists(guest, lists.head(LISTS))
    yield from _memory()


def _reviews(guest: Guest, companies: pd.DataFrame, folder: Path) -> Measure:
    (folder / "bare.py").write_text(BARE_SPIDER, encoding="utf-8")
    (folder / "companies.txt").write_text("\n".join(companies["company_url"]), encoding="utf-8")
    command = [sys.executable, "-m", "scrapy", "runspider", "bare.py", "-L", "ERROR"]
    command += ["-a", "companies=companies.txt", "-O", "rows.jsonl", "-s", "DOWNLOAD_DELAY=0"]
    for name in ("CONCURRENT_REQUESTS", "CONCURRENT_REQUESTS_PER_DOMAIN"):
        command += ["-s", f"{name}={CONCURRENCY}"]
    pages = 0

    def bare() -> None:
        subprocess.run(command, cwd=folder, check=True, stdin=subprocess.DEVNULL)

    def ours() -> None:
        nonlocal pages
        path = folder / "reviews.csv"
        found = collect_reviews(guest, companies, path, concurrency=CONCURRENCY, tell=_quiet)
        pages = found.tally.pages

    theirs, own = _in_turn(bare, ours)
    return per_second(
        f"reviews, pages/s, {pages} pages, start and writing included",
        pages / theirs,
        pages / own,
        "at least 0.9 times",
    )


def _lists(guest: Guest, lists: pd.DataFrame) -> Iterator[Measure]:
    found: dict[str, int] = {}

    def loop(wait: Callable) -> Callable[[], None]:
        def article() -> None:
            found["theirs"] = len(_article_loop(lists["url"], wait))

        return article

    def ours() -> None:
        found["ours"] = len(find_companies(guest, lists, tell=_quiet).companies)

    waits = {"a fixed wait of 1 s": _fixed_wait, "a wait that looks every half second": _slow_poll}
    for name, wait in waits.items():
        theirs, own = _in_turn(loop(wait), ours, rounds=1)
        if found["theirs"] != found["ours"]:
            raise CollectError(
                f"The two ways found {found['theirs']} and {found['ours']} companies."
            )
        yield Measure(
            f"lists, companies/s, against one browser with {name}",
            f"{found['theirs'] / theirs:.1f}",
            f"{found['ours'] / own:.1f}",
            f"{theirs / own:.1f} times",
            "at least 5 times" if wait is _fixed_wait else "",
        )


def _article_loop(urls: pd.Series, wait: Callable) -> set[str]:
    """Visit lists as the article does: open, wait, take the cards one by one, go on."""
    found = set()
    with browser() as driver:
        for url in urls:
            while url:
                driver.get(url)
                wait(driver)
                for card in driver.find_elements(By.CSS_SELECTOR, "a.company-card"):
                    found.add(card.get_attribute("href") or "")
                following = driver.find_elements(By.CSS_SELECTOR, "a.next-page")
                url = following[0].get_attribute("href") if following else ""
    return found


def _fixed_wait(driver) -> None:
    time.sleep(1)


def _slow_poll(driver) -> None:
    drawn = presence_of_element_located((By.CSS_SELECTOR, "a.company-card"))
    try:
        WebDriverWait(driver, 3).until(drawn)
    except TimeoutException:
        return


def _memory() -> Iterator[Measure]:
    """Peak memory of the notebook's process and of the spider's, for ten times the reviews."""
    peaks = [_peaks(companies, reviews) for companies, reviews in ((32, 2_400), (320, 24_000))]
    for name, small, large in zip(("notebook", "spider"), *peaks, strict=True):
        yield Measure(
            f"peak memory of the {name}'s process, 2,400 -> 24,000 reviews, MB",
            f"{small:.0f}",
            f"{large:.0f}",
            f"{large / small:.2f} times for ten times the reviews",
        )


def _peaks(companies: int, reviews: int) -> list[float]:
    from starwise.practice.world import make_world

    world = make_world(companies=companies, reviews=reviews)
    with (
        serve(companies=companies, reviews=reviews) as site,
        tempfile.TemporaryDirectory() as folder,
    ):
        table = pd.DataFrame(
            {"company_url": [f"{site.url}/review/{one.slug}" for one in world.companies]}
        )
        table.to_csv(Path(folder, "companies.csv"), index=False)
        command = [sys.executable, "-c", MEMORY, site.url]
        command += [str(Path(folder, name)) for name in ("companies.csv", "reviews.csv")]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def _in_turn(
    first: Callable[[], None], second: Callable[[], None], rounds: int = ROUNDS
) -> tuple[float, float]:
    """Run both in turn; return the seconds of a round of each."""
    seconds = [0.0, 0.0]
    for _ in range(rounds):
        for place, work in enumerate((first, second)):
            began = time.perf_counter()
            work()
            seconds[place] += time.perf_counter() - began
    return seconds[0] / rounds, seconds[1] / rounds


def _quiet(line: str) -> None:
    """Hear a line of progress and say nothing."""
