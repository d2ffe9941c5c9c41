"""The spider: from each company's first page of reviews to its last, following "next page".

It runs in a process of its own, because Scrapy's engine cannot be started twice in one notebook
kernel. `starwise.collect.reviews` starts it with its orders on standard input:

python -m starwise.collect.spider
"""

import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TextIO

import scrapy
from protego import Protego
from scrapy.crawler import CrawlerProcess
from scrapy.http import Response

from starwise.collect.errors import LayoutError
from starwise.collect.layouts import ReviewPage, layout_of
from starwise.collect.manners import settings_for
from starwise.collect.tally import Tally

# Pages beyond those that the announced number of reviews would fill, before we call it endless:
# a page may lose a review or two while we read.
SPARE_PAGES = 2
SECONDS_BETWEEN_REPORTS = 1.0
UNTOLD = {
    "offsite/filtered": "led to another host, where we did not go",
    "spider_exceptions/count": "could not be read by the layout",
}


@dataclass(frozen=True)
class Orders:
    """What one crawl is to do. Sent to the child as one line of JSON."""

    site: str
    host: str
    companies: list[str]  # addresses of the companies' first pages
    part: str  # file that takes one JSON line a review, as they come
    user_agent: str
    robots: str  # text of the site's robots.txt
    local: bool
    concurrency: int
    max_pages: int  # budget of the whole crawl
    max_minutes: float


class ReviewSpider(scrapy.Spider):
    """Reads every page of reviews of every company."""

    name = "reviews"

    def __init__(self, orders: Orders, part: TextIO, tally: Tally) -> None:
        super().__init__()
        self.orders, self.part, self.tally = orders, part, tally
        self.layout = layout_of(orders.site)
        # On any other host we are not a guest: neither links nor redirects lead us there.
        self.allowed_domains = [orders.host]
        self.rules = Protego.parse(orders.robots)
        self.asked: set[str] = set()  # addresses of pages
        self.seen: set[str] = set()  # ids of reviews

    async def start(self) -> AsyncIterator[scrapy.Request]:
        for place, url in enumerate(self.orders.companies):
            for request in self.ask(url, place, number=1):
                yield request

    def ask(self, url: str, place: int, number: int) -> Iterator[scrapy.Request]:
        """Ask for page `number` of the company at `place`; first pages come before later ones."""
        # Scrapy looks at robots.txt too, but lets some of the first, simultaneous requests pass.
        if not self.rules.can_fetch(url, self.orders.user_agent):
            self.tally.give_up(f"{url}: forbidden by robots.txt")
            return
        self.asked.add(url)
        yield scrapy.Request(
            url,
            callback=self.read,
            errback=self.give_up,
            cb_kwargs={"place": place, "number": number},
            priority=-number,
        )

    def read(self, response: Response, place: int, number: int) -> Iterator[scrapy.Request]:
        """Keep the reviews of one page, and follow its next page."""
        try:
            page = self.layout.review_page(response.text, response.url)
        except LayoutError as error:
            self.tally.give_up(str(error))
            return
        self.tally.pages += 1
        if number == 1:
            self.tally.companies += 1
            self.tally.announced += page.announced
        fresh = self.keep(page, response.url, place, number)
        if page.next_url and self.goes_on(page, number, fresh):
            yield from self.ask(page.next_url, place, number + 1)

    def keep(self, page: ReviewPage, url: str, place: int, number: int) -> int:
        """Write the page's reviews that have text and stars; return how many cards were new."""
        fresh = [card for card in page.cards if card.id not in self.seen]
        for order, card in enumerate(fresh):
            self.seen.add(card.id)
            if not card.text.strip():
                self.tally.without_text += 1
            elif card.stars is None:
                self.tally.without_stars += 1
            else:
                row = {
                    "id": card.id,
                    "comment": card.text,
                    "rating": card.stars,
                    "url_website": url,
                    "company_name": page.company,
                    "company_website": page.website,
                    "company_logo": page.logo,
                    "title": card.title,
                    "date": card.date,
                }
                line = {"place": [place, number, order], **row}
                self.part.write(json.dumps(line, ensure_ascii=False) + "\n")
                self.tally.reviews += 1
        # Page by page on the disk: a kill costs at most the page that was being written.
        self.part.flush()
        return len(fresh)

    def goes_on(self, page: ReviewPage, number: int, fresh: int) -> bool:
        """Tell whether the next page is worth asking for; say why when it is not."""
        if not fresh:
            self.tally.stop(f"{page.company}: page {number} holds nothing new, so we stop there")
            return False
        if page.next_url in self.asked:
            self.tally.stop(f"{page.company}: the next page after {number} was read already")
            return False
        expected = -(-page.announced // len(page.cards)) + SPARE_PAGES
        if number >= expected:
            self.tally.stop(
                f"{page.company}: still a next page after {number}, though it announces "
                f"{page.announced} reviews; we stop there"
            )
            return False
        return True

    def give_up(self, failure) -> None:
        """Note a page that could not be had after all tries."""
        response = getattr(failure.value, "response", None)
        reason = f"answered {response.status}" if response is not None else failure.value
        self.tally.give_up(f"{failure.request.url}: {reason or type(failure.value).__name__}")


def main() -> None:
    """Crawl as ordered on standard input; tell the tally as JSON lines on standard output."""
    orders = Orders(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tally = Tally()
    process = CrawlerProcess(settings_for(orders))
    with open(orders.part, "w", encoding="utf-8", newline="\n") as part:
        crawler = process.create_crawler(ReviewSpider)
        process.crawl(crawler, orders=orders, part=part, tally=tally)
        with _reporting(tally):
            process.start()
    reason = crawler.stats.get_value("finish_reason") or "failed"
    if reason != "finished":
        tally.stop(f"The crawl ended early: {reason}")
    # What Scrapy tells only its own counts.
    for name, why in UNTOLD.items():
        if pages := crawler.stats.get_value(name, 0):
            tally.give_up(f"{pages} pages {why}", pages)
    tally.done = True
    tell(tally)


@contextmanager
def _reporting(tally: Tally) -> Iterator[None]:
    """Tell the tally once a second while the block lasts."""
    over = threading.Event()

    def report() -> None:
        while not over.wait(SECONDS_BETWEEN_REPORTS):
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
