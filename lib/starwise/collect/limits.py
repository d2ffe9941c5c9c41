"""What one crawl may ask for: pages of one host, so many of them, so many megabytes and minutes.

Scrapy's own limits count what came back, and let go on what is under way; these count what is asked
for, so that ten pages are ten. And Scrapy's filter of hosts lets pass what was asked for twice,
the way that a redirect of a retried page goes. Scrapy loads this by its name in the settings.
"""

import time
from urllib.parse import urlsplit

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import IgnoreRequest


class SpentError(IgnoreRequest):
    """The budget is spent; the message says which."""


class Limits:
    """Lets requests to the site pass until a budget is spent.

    Retries count; pages of the cache do not, because they are answered before.
    """

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler
        self.site = crawler.settings.get("STARWISE_SITE")
        self.max_pages = crawler.settings.getint("STARWISE_MAX_PAGES")
        self.max_megabytes = crawler.settings.getfloat("STARWISE_MAX_MEGABYTES")
        self.max_minutes = crawler.settings.getfloat("STARWISE_MAX_MINUTES")
        self.began = time.monotonic()
        self.asked = 0

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> "Limits":
        return cls(crawler)

    def process_request(self, request: Request, **_) -> None:
        if urlsplit(request.url).netloc != self.site:
            raise IgnoreRequest("led to another host, where we did not go")
        if spent := self._spent():
            raise SpentError(spent)
        self.asked += 1

    def _spent(self) -> str:
        megabytes = self.crawler.stats.get_value("downloader/response_bytes", 0) / 1e6
        if self.asked >= self.max_pages:
            return f"the budget of {self.max_pages:,} pages (max_pages) is spent"
        if megabytes >= self.max_megabytes:
            return f"the budget of {self.max_megabytes:g} MB (max_megabytes) is spent"
        if time.monotonic() - self.began >= self.max_minutes * 60:
            return f"the budget of {self.max_minutes:g} minutes (max_minutes) is spent"
        return ""
