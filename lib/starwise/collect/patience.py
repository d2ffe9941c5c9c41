"""Trying again with patience: after as long as Retry-After asks, else a little longer each time.

Scrapy's own retry comes back at once, twice, and does not read Retry-After. Scrapy loads this
one by its name in the settings.
"""

import asyncio
import email.utils
import time

from scrapy import Request
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.http import Response

LONGEST_WAIT_SECONDS = 120  # what a Retry-After may ask for
FIRST_PAUSE_SECONDS = 0.25  # doubled at each further try


class PatientRetry(RetryMiddleware):
    """Retries after a pause: as long as Retry-After says, else a little longer each time."""

    async def process_response(self, request: Request, response: Response, **_):
        answer = super().process_response(request, response)
        if isinstance(answer, Request):
            asked = wanted_pause(response.headers.get("Retry-After", b"").decode("latin-1"))
            if asked > LONGEST_WAIT_SECONDS:
                return response
            await asyncio.sleep(max(asked, _pause(request)))
        return answer

    async def process_exception(self, request: Request, exception: Exception, **_):
        answer = super().process_exception(request, exception)
        if isinstance(answer, Request):
            await asyncio.sleep(_pause(request))
        return answer


def wanted_pause(retry_after: str) -> float:
    """Return the seconds that a Retry-After header asks for: a number or a date, else 0."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    moment = email.utils.parsedate_tz(retry_after)
    return max(0.0, email.utils.mktime_tz(moment) - time.time()) if moment else 0.0


def _pause(request: Request) -> float:
    return FIRST_PAUSE_SECONDS * 2 ** request.meta.get("retry_times", 0)
