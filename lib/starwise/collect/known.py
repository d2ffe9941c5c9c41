"""Answers that need no asking: the site's robots.txt, which we have, and pages of the last day.

Scrapy loads this by its name in the settings.
"""

from urllib.parse import urlsplit

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import HtmlResponse, Response, TextResponse

from starwise.collect.pages import PageCache


class Known:
    """Answers requests from what is known; the spider puts into `pages` what it has read."""

    def __init__(self, site: str, robots: str, folder: str) -> None:
        self.site, self.robots = site, robots
        self.pages = PageCache(folder)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> "Known":
        names = ("STARWISE_SITE", "STARWISE_ROBOTS", "STARWISE_CACHE")
        return cls(*(crawler.settings.get(name) for name in names))

    def process_request(self, request: Request, **_) -> Response | None:
        parts = urlsplit(request.url)
        if (parts.netloc, parts.path) == (self.site, "/robots.txt"):
            return TextResponse(request.url, body=self.robots, encoding="utf-8")
        text = self.pages.get(request.url)
        if text is None:
            return None
        return HtmlResponse(
            request.url, body=text, encoding="utf-8", flags=["kept"], request=request
        )
