"""Trying again with patience: after as long as Retry-After asks, else a little longer each time.

Scrapy's own retry comes back at once, twice, and does not read Retry-After. Scrapy loads this
one by its name in the settings.
"""

import asyncio
import time

from scrapy import Request
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.http import Response

from starwise.collect.limits import SpentError
from starwise.collect.waits import (
    BUSY,
    LONGEST_WAIT_SECONDS,
    no_room,
    own_pause,
    too_long,
    wanted_pause,
)


class PatientRetry(RetryMiddleware):
    """Retries after a pause: as long as Retry-After says, else a little longer each time.

    Elsewhere than on this machine a Retry-After holds back every other page of the site too, and
    one that is longer than we wait ends the crawl. So does one that the budget's minutes do not
    have room for.
    """

    def __init__(self, settings) -> None:
        super().__init__(settings)
        self.holds_all = settings.getbool("STARWISE_HOLD_ALL")
        self.quiet_until = 0.0  # time.monotonic() before which nothing is asked for
        self.sent_away = ""  # why nothing is asked for any more
        budget, spent = settings.get("STARWISE_BUDGET"), settings.get("STARWISE_SPENT")
        self.minutes = budget.max_minutes
        self.ends = time.monotonic() + 60 * (self.minutes - spent.minutes)

    async def process_request(self, request: Request, **_) -> None:
        while (left := self.quiet_until - time.monotonic()) > 0:
            await asyncio.sleep(left)
        if self.sent_away:
            raise SpentError(self.sent_away)

    async def process_response(self, request: Request, response: Response, **_):
        asked = wanted_pause(response.headers.get("Retry-After", b"").decode("latin-1"))
        if asked > LONGEST_WAIT_SECONDS:
            if self.holds_all and response.status in BUSY:
                self.sent_away = too_long(response.url, response.status, asked)
            return response
        answer = super().process_response(request, response)
        if isinstance(answer, Request):
            pause = max(asked, own_pause(1 + request.meta.get("retry_times", 0)))
            if time.monotonic() + pause > self.ends:
                raise SpentError(no_room(self.minutes, pause))
            if asked and self.holds_all:
                self.quiet_until = max(self.quiet_until, time.monotonic() + pause)
            await asyncio.sleep(pause)
        return answer

    async def process_exception(self, request: Request, exception: Exception, **_):
        answer = super().process_exception(request, exception)
        if isinstance(answer, Request):
            await asyncio.sleep(own_pause(1 + request.meta.get("retry_times", 0)))
        return answer
