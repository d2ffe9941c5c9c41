"""Finding the companies of a site: lists that JavaScript draws, read with Selenium.

found = find_companies(guest, read_categories(guest))
found.companies            # category, sub_category, company_url

Two browsers share the lists on this machine, one visits somebody else's. Each page that was read
goes into a journal, so that a search that was cut off goes on from there.
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.wait import WebDriverWait
from urllib3.exceptions import HTTPError

from starwise.collect.browser import browser, end_browser
from starwise.collect.errors import CollectError, LayoutError
from starwise.collect.guest import LARGEST_PAGE_BYTES, Guest
from starwise.collect.journal import Journal
from starwise.collect.layouts import CompanyList
from starwise.collect.progress import Progress, say
from starwise.collect.waits import BUSY, own_pause

WAIT_SECONDS = 10
POLL_SECONDS = 0.02  # Selenium's own half second is most of the time of a small page
TRIES = 3
PAGES_A_LIST = 500  # a list that goes on for longer has no end

# What the browser knows of the page it shows: its status and its size on the wire.
ANSWER = """
const [page] = performance.getEntriesByType("navigation");
return [page ? page.responseStatus : 0, page ? page.transferSize : 0];
"""


class BrowserDiedError(CollectError):
    """The browser or its driver is gone; another one may do."""


@dataclass
class CompaniesFound:
    """What came back: the table (category, sub_category, company_url), and how it went."""

    companies: pd.DataFrame
    pages: int = 0
    kept_pages: int = 0  # of these, pages that a former run had read
    seconds: float = 0.0
    given_up: list[str] = field(default_factory=list)  # one sentence for each list cut short


def find_companies(
    guest: Guest,
    sub_categories: pd.DataFrame,
    max_companies: int = 0,
    min_coverage: float = 0.95,
    tell: Callable[[str], None] = say,
    browsers: int = 2,
    journal: Path | None = None,
    max_pages: int = 10_000,
    max_minutes: float = 60,
) -> CompaniesFound:
    """Visit every list in a headless browser, page after page, and return its companies.

    A company that stands in two lists is kept once, in the first. `max_companies` (0: no limit)
    ends the visit early. `browsers` work at once on this machine, one elsewhere. `journal` is a
    file that keeps what was read until all of it is there. `max_pages` and `max_minutes` are
    budgets. Raises CollectError when fewer lists than the share `min_coverage` (0 to 1) could be
    read to their end, or when no company is in any.
    """
    guest.agree()
    progress = Progress("companies", tell)
    search = _Search(guest, sub_categories, max_companies, max_pages, max_minutes)
    if journal is None:
        search.run(browsers, progress)
    else:
        of = {"site": guest.site, "host": "" if guest.edition else guest.url}
        of |= {"edition": guest.edition, "lists": [guest.relative(one) for one in search.lists]}
        with Journal(journal, of) as search.journal:
            search.remember()
            search.run(browsers, progress)
    found = search.found(min_coverage)
    found.seconds = progress.seconds
    search.show(progress, last=True)
    if journal is not None:
        Path(journal).unlink(missing_ok=True)
    return found


@dataclass
class _List:
    """How far we are with one list."""

    following: str  # address of the next page to read, relative; "" at the end
    urls: list[str] = field(default_factory=list)  # companies, relative
    seen: set[str] = field(default_factory=set)  # pages, relative
    gave_up: str = ""


class _Search:
    """The lists, and the browsers that share them."""

    def __init__(
        self,
        guest: Guest,
        sub_categories: pd.DataFrame,
        max_companies: int,
        max_pages: int,
        max_minutes: float,
    ) -> None:
        self.guest, self.max_companies = guest, max_companies
        self.max_pages, self.max_minutes = max_pages, max_minutes
        self.rows = list(sub_categories.itertuples())
        self.lists = {row.url: _List(guest.relative(row.url)) for row in self.rows}
        self.journal: Journal | None = None
        self.pages = self.kept_pages = self.asked = 0
        self.began = time.monotonic()
        self.over = threading.Event()
        self.guard = threading.Lock()
        self.problem: BaseException | None = None
        self.drivers: list[Chrome] = []

    def remember(self) -> None:
        """Take over what a former run has read."""
        for fact in self.journal.facts():
            self.note(self.lists[self.guest.whole(fact["list"])], fact)
            self.kept_pages += 1

    def note(self, one: _List, fact: dict) -> None:
        self.pages += 1
        one.urls += fact["urls"]
        one.seen.add(fact["page"])
        one.following = fact["next"]

    def run(self, browsers: int, progress: Progress) -> None:
        """Let the browsers work until all lists are read, or enough companies are found."""
        waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        for url, one in self.lists.items():
            if one.following:
                waiting.put(url)
        workers = min(max(1, browsers), waiting.qsize()) if self.guest.is_local else 1
        # robots.txt is asked for once, before the browsers would, both at once.
        self.guest.allowed(self.guest.url)
        threads = [
            threading.Thread(target=self.work, args=(waiting,), daemon=True)
            for _ in range(workers if waiting.qsize() else 0)
        ]
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                time.sleep(0.05)
                self.show(progress)
        finally:
            # Also when somebody interrupts the cell: a browser that waits for a page is ended.
            self.over.set()
            while any(thread.is_alive() for thread in threads):
                for driver in list(self.drivers):
                    end_browser(driver)
                time.sleep(0.05)
        if self.problem is not None:
            raise self.problem

    def work(self, waiting: queue.SimpleQueue) -> None:
        """Read lists with a browser of our own, and with another one when it dies."""
        url, deaths = "", 0
        try:
            while not self.over.is_set():
                with browser(self.guest.user_agent, *_same_host(self.guest)) as driver:
                    self.drivers.append(driver)
                    try:
                        while not self.over.is_set() and not self.is_enough():
                            if not url:
                                url, deaths = waiting.get_nowait(), 0
                            self.read_to_end(driver, url)
                            url = ""
                        return
                    except BrowserDiedError as error:
                        deaths += 1
                        if deaths >= TRIES:
                            self.lists[url].gave_up = str(error)
                            url = ""
                    finally:
                        self.drivers.remove(driver)
        except queue.Empty:
            return
        except BaseException as error:
            self.problem = self.problem or error
            self.over.set()

    def read_to_end(self, driver: Chrome, url: str) -> None:
        """Read a list from where we are to its end; note where and why it is left."""
        one = self.lists[url]
        while one.following and not self.over.is_set():
            if one.following in one.seen or len(one.seen) >= PAGES_A_LIST:
                whole = self.guest.whole(one.following)
                one.gave_up = f"The list goes round in a circle or has no end: {whole}."
                return
            if spent := self.spent():
                one.gave_up = f"The list {url} was not read to its end: {spent}."
                return
            try:
                page = read_list(driver, self.guest, self.guest.whole(one.following))
            except BrowserDiedError:
                raise
            except CollectError as error:
                one.gave_up = str(error)
                return
            fact = {
                "list": self.guest.relative(url),
                "page": one.following,
                "urls": [self.guest.relative(company) for company in page.urls],
                "next": self.guest.relative(page.next_url),
            }
            if self.journal is not None:
                self.journal.add(fact)
            with self.guard:
                self.note(one, fact)

    def spent(self) -> str:
        """Return which budget is spent, "" while none is; count a page that is asked for."""
        with self.guard:
            if self.asked >= self.max_pages:
                return f"the budget of {self.max_pages:,} pages (max_pages) is spent"
            if time.monotonic() - self.began >= self.max_minutes * 60:
                return f"the budget of {self.max_minutes:g} minutes (max_minutes) is spent"
            self.asked += 1
            return ""

    def is_enough(self) -> bool:
        """Tell whether the lists that are finished, from the first on, hold max_companies."""
        if not self.max_companies:
            return False
        companies: set[str] = set()
        for one in self.lists.values():
            companies.update(one.urls)
            if len(companies) >= self.max_companies:
                return True
            if one.following and not one.gave_up:
                return False
        return False

    def show(self, progress: Progress, last: bool = False) -> None:
        companies = len({url for one in self.lists.values() for url in one.urls})
        done = sum(not one.following or bool(one.gave_up) for one in self.lists.values())
        facts = [f"{companies:,} found", f"{done} of {len(self.lists)} lists"]
        if last:
            facts.append(f"{self.pages:,} pages")
        if self.kept_pages:
            facts.append(f"{self.kept_pages:,} of the pages from a run that was cut off")
        progress.show(*facts, last=last)

    def found(self, min_coverage: float) -> CompaniesFound:
        """Return the companies in the order of the lists; raise CollectError for too few."""
        places: dict[str, tuple[str, str]] = {}
        visited = [one for one in self.lists.values() if one.seen or one.gave_up]
        given_up = [one.gave_up for one in visited if one.gave_up]
        for row in self.rows:
            for url in self.lists[row.url].urls:
                places.setdefault(self.guest.whole(url), (row.category, row.sub_category))
        whole = len(visited) - len(given_up)
        if whole < min_coverage * len(visited):
            raise CollectError(
                f"Only {whole} of {len(visited)} lists of companies could be read to their end, "
                f"and min_coverage asks for {min_coverage:.0%}. {given_up[0]}"
            )
        rows = [(*place, url) for url, place in places.items()][: self.max_companies or None]
        if not rows:
            raise CollectError(
                f"No company was found on {self.guest.url}. {' '.join(given_up[:1])}"
            )
        table = pd.DataFrame(rows, columns=["category", "sub_category", "company_url"])
        return CompaniesFound(table, self.pages, self.kept_pages, given_up=given_up)


def read_list(driver: Chrome, guest: Guest, url: str) -> CompanyList:
    """Open one page of a list, wait until it is drawn, and read it; try again when it is not."""
    if not guest.allowed(url):
        raise CollectError(f"The robots.txt of {guest.host} forbids {url}.")
    if urlsplit(url).hostname != guest.host:
        raise CollectError(f"The list leads to another host, {url}: we did not go.")
    kept = guest.pages.get(url)
    if kept is not None:
        return guest.layout.company_list(kept, url)
    drawn = expected_conditions.presence_of_element_located(
        (By.CSS_SELECTOR, guest.layout.companies_drawn)
    )
    problem = f"was not drawn: nothing on it matches {guest.layout.companies_drawn}"
    for tries in range(1, TRIES + 1):
        try:
            driver.get(url)
            time.sleep(guest.pause)
            status, size = driver.execute_script(ANSWER)
            if size > LARGEST_PAGE_BYTES:
                raise CollectError(f"The list {url} is larger than we take: refused.")
            if status in BUSY:
                problem = f"answered {status}"
                # A browser does not tell Retry-After: we wait for longer than most ask for.
                time.sleep(own_pause(tries) if guest.is_local else 30 * tries)
                continue
            if status >= 400:
                raise CollectError(f"The list {url} answered {status}.")
            WebDriverWait(driver, WAIT_SECONDS, poll_frequency=POLL_SECONDS).until(drawn)
            html, here = driver.page_source, driver.current_url
            page = guest.layout.company_list(html, here)
            guest.pages.put(url, html)
            return page
        except TimeoutException:
            continue
        except LayoutError as error:
            raise CollectError(f"{error}") from error
        except WebDriverException as error:
            reason = (error.msg or "no reason given").splitlines()[0]
            if "net::ERR" in reason:
                raise CollectError(f"The browser could not open {url}: {reason}.") from error
            raise BrowserDiedError(f"The browser could not open {url}: {reason}.") from error
        except HTTPError as error:  # between Selenium and the driver
            raise BrowserDiedError(f"The browser's driver ended before it read {url}.") from error
    raise CollectError(f"The list {url} {problem}, after {TRIES} tries.")


def _same_host(guest: Guest) -> list[str]:
    """Return what keeps the browser on the site's host: no other name has an address for it."""
    return [f"--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE {guest.host}"]
