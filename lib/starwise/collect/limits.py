"""What one crawl may ask for: pages of one host, and of these no more than its budget.

Scrapy's own limits count what came back, and let go on what is under way; these count what is asked
for, so that ten pages are ten. And Scrapy's filter of hosts lets pass what was asked for twice,
the way that a redirect of a retried page goes. Scrapy loads this by its name in the settings.
"""

import time
from urllib.parse import urlsplit

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import IgnoreRequest

from starwise.collect.budget import Spent


class SpentError(IgnoreRequest):
    """Nothing more is asked for, because the budget is spent; the message says which."""


class Limits:
    """Lets requests to the site pass until the budget is spent.

    Retries count; pages of the cache do not, because they are answered before.
    """

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler
        self.site = crawler.settings.get("STARWISE_SITE")
        self.budget = crawler.settings.get("STARWISE_BUDGET")
        self.before = crawler.settings.get("STARWISE_SPENT")  # in the same run, by the browser
        self.began = time.monotonic()
        self.asked = 0

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> "Limits":
        return cls(crawler)

    def process_request(self, request: Request, **_) -> None:
        if urlsplit(request.url).netloc != self.site:
            raise IgnoreRequest("led to another host, where we did not go")
        if why := self.budget.why_spent(self._spent()):
            raise SpentError(why)
        self.asked += 1

    def _spent(self) -> Spent:
        came = self.crawler.stats.get_value("downloader/response_bytes", 0)
        return Spent(
            self.before.pages + self.asked,
            self.before.megabytes + came / 1e6,
            self.before.minutes + (time.monotonic() - self.began) / 60,
        )
