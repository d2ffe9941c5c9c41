"""A queue of requests in Redis that several crawlers share: scrapy-redis, with four changes.

scrapy-redis 0.9.1 brings the queue and the memory of what was asked for. Its spiders need a Scrapy
before 2.16, so ours stays a plain one. Its scheduler ends a crawler that finds the queue empty,
though another may be about to fill it: ours asks first whether anybody is at work. And it pickles
requests, so that whoever may write to the queue could run programs here: ours are JSON. And a
crawler whose budget is spent leaves the queue to the others.
Scrapy loads this by its name in the settings.
"""

import json
import uuid

from scrapy import Request, signals
from scrapy.exceptions import DontCloseSpider
from scrapy_redis.scheduler import Scheduler

BUSY_SECONDS = 15  # without a sign, a crawler counts as dead; Scrapy's own heartbeat is 5 s
KEPT_SECONDS = 24 * 3600  # as long as the journals
FIELDS = ("url", "callback", "errback", "cb_kwargs", "meta", "priority", "dont_filter")


class SharedScheduler(Scheduler):
    """Takes requests from the shared queue until it is empty and nobody is at work on one."""

    def open(self, spider) -> None:
        super().open(spider)
        # What a crawler cannot ask for any more, the others may.
        spider.hand_back = self.queue.push
        self.others = f"{self.queue_key}:busy:*"
        self.sign = f"{self.queue_key}:busy:{uuid.uuid4().hex}"
        spider.crawler.signals.connect(self.idle, signal=signals.spider_idle)

    def has_pending_requests(self) -> bool:
        return not self.spider.tally.ended and super().has_pending_requests()

    def next_request(self) -> Request | None:
        if self.spider.tally.ended:  # its budget is spent: the queue is the others'
            return None
        request = super().next_request()
        if request is not None or self.spider.crawler.engine.downloader.active:
            self.server.set(self.sign, 1, ex=BUSY_SECONDS)
        return request

    def idle(self) -> None:
        """Wait for the others: what they are reading may have a next page."""
        self.server.delete(self.sign)
        if not self.spider.tally.ended and self.server.keys(self.others):
            raise DontCloseSpider

    def close(self, reason: str) -> None:
        super().close(reason)
        self.server.delete(self.sign)
        for key in (self.queue_key, self.dupefilter_key):
            self.server.expire(key, KEPT_SECONDS)


def dumps(request: dict) -> str:
    """Return a request (as Scrapy's `to_dict` gives it) as JSON."""
    return json.dumps({name: request[name] for name in FIELDS}, sort_keys=True, default=str)


def loads(text: bytes) -> dict:
    """Return what `dumps` was given, without what the next crawler adds itself."""
    return json.loads(text)
