"""The spider: from each company's first page of reviews to its last, following "next page".

It runs in a process of its own, because Scrapy's engine cannot be started twice in one notebook
kernel. `starwise.collect.reviews` starts it with its orders on standard input:

python -m starwise.collect.spider
"""

import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import scrapy
from protego import Protego
from scrapy.crawler import CrawlerProcess
from scrapy.exceptions import DownloadCancelledError
from scrapy.http import Response

from starwise.collect.encoding import read_text
from starwise.collect.errors import CollectError, LayoutError
from starwise.collect.guest import Guest
from starwise.collect.journal import Journal
from starwise.collect.layouts import ReviewPage
from starwise.collect.limits import SpentError
from starwise.collect.manners import LARGEST_PAGE_BYTES, settings_for
from starwise.collect.orders import Orders
from starwise.collect.pages import PageCache
from starwise.collect.tally import Tally

# Pages beyond those that the announced number of reviews would fill, before we call it endless:
# a page may lose a review or two while we read.
SPARE_PAGES = 2
SECONDS_BETWEEN_REPORTS = 1.0


@dataclass
class Road:
    """How far we are with one company: what of it was seen, and where it goes on."""

    number: int = 0  # pages read
    following: str = ""  # the next page's address, relative; "" at the end
    asked: set[str] = field(default_factory=set)  # addresses of pages, relative
    seen: set[str] = field(default_factory=set)  # ids of reviews


class ReviewSpider(scrapy.Spider):
    """Reads every page of reviews of every company, and writes each into the journal."""

    name = "reviews"
    hand_back: Callable[[scrapy.Request], None] | None = None  # into the queue that others share

    def __init__(self, orders: Orders, journal: Journal, tally: Tally) -> None:
        super().__init__()
        self.orders, self.journal, self.tally = orders, journal, tally
        self.guest = Guest(orders.site, orders.url, contact="in the orders")
        self.layout = self.guest.layout
        self.rules = Protego.parse(orders.robots)
        self.pages = PageCache(orders.cache)
        self.roads = self.remember()

    def remember(self) -> dict[int, Road]:
        """Return how far a former run came, by the company's place in the orders."""
        roads: dict[int, Road] = {}
        following: dict[int, dict[int, str]] = {}  # place -> page -> the next page's address
        for fact in self.journal.facts():
            known = following.setdefault(fact["place"], {})
            if "cards" in fact and fact["number"] not in known:
                known[fact["number"]] = fact["next"]
                self.note(fact, roads.setdefault(fact["place"], Road()))
                self.tally.kept_pages += 1
        for place, road in roads.items():
            # Of several crawlers one may have died with a page: we go on where the row breaks off.
            while road.number + 1 in following[place]:
                road.number += 1
            road.following = following[place].get(road.number, "") or self.first_page(road, place)
            if not road.following:  # at its end: nothing of it is needed any more
                roads[place] = Road(road.number)
        return roads

    def first_page(self, road: Road, place: int) -> str:
        """Return the address of a company's first page while that page is missing."""
        return "" if road.number else self.guest.relative(self.orders.companies[place])

    async def start(self) -> AsyncIterator[scrapy.Request]:
        for place, url in enumerate(self.orders.companies):
            road = self.roads.get(place)
            url, number = (url, 1) if road is None else (road.following, road.number + 1)
            if url:
                for request in self.ask(url, place, number):
                    yield request

    def ask(self, url: str, place: int, number: int) -> Iterator[scrapy.Request]:
        """Ask for page `number` of the company at `place`; first pages come before later ones."""
        whole = self.guest.whole(url)
        # Scrapy looks at robots.txt too, but lets some of the first, simultaneous requests pass.
        if not self.rules.can_fetch(whole, self.orders.user_agent):
            self.give_up(place, number, f"{whole}: forbidden by robots.txt")
            return
        if not whole.startswith(("http://", "https://")):
            self.give_up(place, number, f"{whole[:200]}: no address of a page")
            return
        yield scrapy.Request(
            whole,
            callback=self.read,
            errback=self.failed,
            cb_kwargs={"place": place, "number": number},
            priority=-number,
        )

    def read(self, response: Response, place: int, number: int) -> Iterator[scrapy.Request]:
        """Keep the reviews of one page, and follow its next page."""
        try:
            kind = response.headers.get("Content-Type", b"").decode("latin-1")
            html = read_text(response.body, kind, response.url)
            page = self.layout.review_page(html, response.url)
        except LayoutError as error:
            self.give_up(place, number, str(error))
            return
        road = self.roads.setdefault(place, Road())
        here = self.guest.relative(response.url)
        road.asked.add(here)
        following, left = self.where_next(page, number, road)
        fact = self.fact(page, place, number, here, following, left)
        # On disk before anything else: a kill costs at most the page that was being written.
        self.write(fact)
        self.note(fact, road)
        if "kept" not in response.flags:
            self.pages.put(response.request.url, html)
        if following:
            yield from self.ask(following, place, number + 1)
        else:
            self.roads[place] = Road(number)

    def fact(
        self, page: ReviewPage, place: int, number: int, url: str, following: str, left: str
    ) -> dict:
        """Return what the journal keeps of a page: all of it, in one line."""
        return {
            "place": place,
            "number": number,
            "url": url,
            "company": page.company,
            "website": self.guest.relative(page.website),
            "logo": self.guest.relative(page.logo),
            "announced": page.announced,
            "next": following,
            **({"left": left} if left else {}),
            "cards": [
                [card.id, card.text, card.stars, card.title, card.date, card.language]
                for card in page.cards
            ],
        }

    def note(self, fact: dict, road: Road) -> None:
        """Count a page, of this run or a former one, and remember what it showed."""
        if fact["number"] == 1:
            self.tally.companies += 1
            self.tally.announced += fact["announced"] or len(fact["cards"])
        self.tally.pages += 1
        for id, text, stars, *_ in fact["cards"]:
            if id not in road.seen:
                road.seen.add(id)
                self.tally.count(text, stars)
        if "left" in fact:
            self.tally.stop(f"{fact['company']}: {fact['left']}")
        road.asked.add(fact["url"])

    def where_next(self, page: ReviewPage, number: int, road: Road) -> tuple[str, str]:
        """Return the next page worth asking for ("" for none) and why one is left aside."""
        following = self.guest.relative(page.next_url)
        if not following:
            return "", ""
        if all(card.id in road.seen for card in page.cards):
            return "", f"page {number} holds nothing new, so we stop there"
        if following in road.asked:
            return "", f"the next page after {number} was read already"
        if page.announced is not None:
            expected = -(-page.announced // len(page.cards)) + SPARE_PAGES
            if number >= expected:
                return "", (
                    f"still a next page after {number}, though it announces {page.announced} "
                    "reviews; we stop there"
                )
        return following, ""

    def failed(self, failure) -> None:
        """Note a page that could not be had after all tries."""
        request, problem = failure.request, failure.value
        response = getattr(problem, "response", None)
        if response is not None:
            why = f"answered {response.status}"
        elif isinstance(problem, DownloadCancelledError):
            why = f"larger than {LARGEST_PAGE_BYTES // 1_000_000} MB: refused"
        else:
            why = str(problem) or type(problem).__name__
        if isinstance(problem, SpentError):
            self.tally.ended = self.tally.ended or f"The crawl ended early: {why}."
            if self.hand_back:
                self.hand_back(request)
                return
        self.give_up(**request.cb_kwargs, why=f"{request.url}: {why}")

    def give_up(self, place: int, number: int, why: str) -> None:
        """Note a page that we do without, and why; a later run tries it again."""
        self.write({"place": place, "number": number, "gave_up": why})
        self.tally.give_up(why)

    def write(self, fact: dict) -> None:
        """Add to the journal; without it (the disk is full) there is no going on."""
        try:
            self.journal.add(fact)
        except CollectError as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(1)


def main() -> None:
    """Crawl as ordered on standard input; tell the tally as JSON lines on standard output."""
    orders = Orders.from_line(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tally = Tally()
    with Journal(orders.journal, orders.of) as journal:
        process = CrawlerProcess(settings_for(orders))
        crawler = process.create_crawler(ReviewSpider)
        process.crawl(crawler, orders=orders, journal=journal, tally=tally)
        with _reporting(tally, journal):
            process.start()
        reason = crawler.stats.get_value("finish_reason") or "failed"
        if reason != "finished":
            tally.ended = tally.ended or f"The crawl ended early: {reason}."
        # An error of our own, in a page of which no layout complained.
        if broken := crawler.stats.get_value("spider_exceptions/count", 0):
            tally.give_up(f"{broken} pages broke the spider", broken)
        journal.sync()
    tally.done = True
    tell(tally)


@contextmanager
def _reporting(tally: Tally, journal: Journal) -> Iterator[None]:
    """Once a second while the block lasts, tell the tally and have the journal written out."""
    over = threading.Event()

    def report() -> None:
        while not over.wait(SECONDS_BETWEEN_REPORTS):
            journal.sync()
            tell(tally)

    reporter = threading.Thread(target=report)
    reporter.start()
    try:
        yield
    finally:
        over.set()
        reporter.join()


def tell(tally: Tally) -> None:
    """Write the tally so far as one line."""
    print(json.dumps(asdict(tally)), flush=True)


def _end_with_parent() -> None:
    # Nothing more comes on standard input; it closes when the parent is done, or gone.
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
