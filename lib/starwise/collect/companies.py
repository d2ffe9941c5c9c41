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

import pandas as pd
from selenium.webdriver import Chrome

from starwise.collect.browser import browser, end_browser
from starwise.collect.budget import NOTHING, USUAL, Budget, Spent
from starwise.collect.coverage import begin_coverage
from starwise.collect.drawn import TRIES, BrowserDiedError, EnoughError, ListReader
from starwise.collect.errors import CollectError
from starwise.collect.guest import Guest
from starwise.collect.journal import Journal
from starwise.collect.progress import Progress, say
from starwise.collect.waits import no_room
from starwise.collect.wire import Wire

PAGES_A_LIST = 500  # a list that goes on for longer has no end
LIST_COLUMNS = ["category", "sub_category", "url", "pages", "companies", "whole", "why"]


@dataclass
class CompaniesFound:
    """What came back: the table (category, sub_category, company_url), and how it went.

    `lists` holds a row for each list: pages and companies that were read, whether that is the whole
    list, and why not. `spent` is what the search took of the budget.
    """

    companies: pd.DataFrame
    lists: pd.DataFrame
    pages: int = 0
    kept_pages: int = 0  # of these, pages that a former run had read
    seconds: float = 0.0
    given_up: list[str] = field(default_factory=list)  # one sentence for each list cut short
    ended: str = ""  # why the search ended early, "" when it did not
    spent: Spent = NOTHING


def find_companies(
    guest: Guest,
    sub_categories: pd.DataFrame,
    max_companies: int = 0,
    min_coverage: float = 0.95,
    tell: Callable[[str], None] = say,
    browsers: int = 2,
    journal: Path | None = None,
    max_pages: int = USUAL.max_pages,
    max_megabytes: float = USUAL.max_megabytes,
    max_minutes: float = USUAL.max_minutes,
) -> CompaniesFound:
    """Visit every list in a headless browser, page after page, and return its companies.

    A company that stands in two lists is kept once, in the first. `max_companies` (0: no limit)
    ends the visit early. `browsers` work at once on this machine, one elsewhere. `journal` is a
    file that keeps what was read until all of it is there; beside it coverage.json tells what came
    of each list. `max_pages` (tries included), `max_megabytes` (as they came over the wire) and
    `max_minutes` are a budget: when it is spent, the lists that are left are given up, and what was
    read stays in the journal for a run with a larger one. Raises CollectError when fewer lists than
    the share `min_coverage` (0 to 1) could be read to their end, or when no company is in any.
    """
    guest.agree()
    progress = Progress("companies", tell)
    search = _Search(guest, sub_categories, max_companies)
    search.budget = Budget(max_pages, max_megabytes, max_minutes)
    if journal is None:
        search.run(browsers, progress)
    else:
        of = {"site": guest.site, "host": "" if guest.edition else guest.url}
        of |= {"edition": guest.edition, "lists": [guest.relative(one) for one in search.lists]}
        with Journal(journal, of) as search.journal:
            search.remember()
            search.run(browsers, progress)
        lists = search.told().to_dict("records")
        begin_coverage(Path(journal), ended_early=search.ended, lists=lists)
    found = search.found(min_coverage)
    found.seconds = progress.seconds
    search.show(progress, last=True)
    if journal is not None and not search.ended:
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

    budget = USUAL

    def __init__(self, guest: Guest, sub_categories: pd.DataFrame, max_companies: int) -> None:
        self.guest, self.max_companies = guest, max_companies
        self.rows = list(sub_categories.itertuples())
        self.lists = {row.url: _List(guest.relative(row.url)) for row in self.rows}
        self.journal: Journal | None = None
        self.pages = self.kept_pages = self.asked = 0
        self.began = time.monotonic()
        self.over = threading.Event()
        self.guard = threading.Lock()
        self.problem: BaseException | None = None
        self.enough = ""  # why nothing more is asked for
        self.drivers: list[Chrome] = []
        self.wires: list[Wire] = []  # of all browsers so far

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
                with browser(self.guest.user_agent, *_same_host(self.guest), logged=True) as driver:
                    reader = ListReader(driver, self.guest, self.ask, self.wait)
                    self.drivers.append(driver)
                    self.wires.append(reader.wire)
                    try:
                        while not self.over.is_set() and not self.is_enough():
                            if not url:
                                url, deaths = waiting.get_nowait(), 0
                            self.read_to_end(reader, url)
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

    def read_to_end(self, reader: ListReader, url: str) -> None:
        """Read a list from where we are to its end; note where and why it is left."""
        one = self.lists[url]
        while one.following and not self.over.is_set():
            whole = self.guest.whole(one.following)
            if one.following in one.seen or len(one.seen) >= PAGES_A_LIST:
                one.gave_up = f"The list goes round in a circle or has no end: {whole}."
                return
            try:
                page = reader.read(whole)
            except BrowserDiedError:
                raise
            except EnoughError as error:
                self.enough = self.enough or str(error)
                one.gave_up = f"The list {url} was not read to its end: {error}."
                return
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

    def ask(self) -> None:
        """Count a page that is asked for; raise EnoughError when none may be any more."""
        with self.guard:
            if why := self.enough or self.budget.why_spent(self.spent()):
                raise EnoughError(why)
            self.asked += 1

    def wait(self, seconds: float) -> None:
        """Wait, but not beyond the budget, and not when the search is stopped."""
        minutes = self.budget.max_minutes
        if seconds and self.spent().minutes + seconds / 60 > minutes:
            raise EnoughError(no_room(minutes, seconds))
        if self.over.wait(seconds):
            raise EnoughError("it was stopped")

    @property
    def ended(self) -> str:
        return f"The search ended early: {self.enough}." if self.enough else ""

    def spent(self) -> Spent:
        megabytes = sum(wire.bytes for wire in list(self.wires)) / 1e6
        return Spent(self.asked, megabytes, (time.monotonic() - self.began) / 60)

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
            facts += [f"{self.pages:,} pages", f"{self.spent().megabytes:.1f} MB"]
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
            why = next((why for why in given_up if self.enough in why), given_up[0])
            kept = " What was read is kept: the same call goes on from there."
            raise CollectError(
                f"Only {whole} of {len(visited)} lists of companies could be read to their end, "
                f"and min_coverage asks for {min_coverage:.0%}. {why}"
                + (kept if self.journal else "")
            )
        rows = [(*place, url) for url, place in places.items()][: self.max_companies or None]
        if not rows:
            raise CollectError(
                f"No company was found on {self.guest.url}. {' '.join(given_up[:1])}"
            )
        table = pd.DataFrame(rows, columns=["category", "sub_category", "company_url"])
        return CompaniesFound(
            table,
            self.told(),
            self.pages,
            self.kept_pages,
            given_up=given_up,
            ended=self.ended,
            spent=self.spent(),
        )

    def told(self) -> pd.DataFrame:
        """Return a row for each list: what came of it, and why not more."""
        rows = []
        for row in self.rows:
            one = self.lists[row.url]
            whole = not one.following and not one.gave_up
            why = one.gave_up or ("" if whole else "Enough companies were found without it.")
            came = [len(one.seen), len(set(one.urls)), whole, why]
            rows.append([row.category, row.sub_category, row.url, *came])
        return pd.DataFrame(rows, columns=LIST_COLUMNS)


def _same_host(guest: Guest) -> list[str]:
    """Return what keeps the browser on the site's host: no other name has an address for it."""
    return [f"--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE {guest.host}"]
