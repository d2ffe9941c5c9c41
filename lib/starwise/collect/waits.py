"""How long to wait before asking again: as Retry-After says, else a little longer each time."""

import email.utils
import time
from urllib.parse import urlsplit

LONGEST_WAIT_SECONDS = 120  # what a Retry-After may ask for; beyond it the page is given up
FIRST_PAUSE_SECONDS = 0.25  # doubled at each further try
BUSY = frozenset({429, 500, 502, 503, 504})  # answers that may be better next time


def wanted_pause(retry_after: str) -> float:
    """Return the seconds that a Retry-After header asks for: a number or a date, else 0."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    moment = email.utils.parsedate_tz(retry_after)
    return max(0.0, email.utils.mktime_tz(moment) - time.time()) if moment else 0.0


def too_long(url: str, status: int, seconds: float) -> str:
    """Say that a site wants to be left alone for longer than we wait."""
    return (
        f"{urlsplit(url).hostname} answered {status} to {url} and asks us to come back in "
        f"{seconds:,.0f} s, and we wait for {LONGEST_WAIT_SECONDS} s at most"
    )


def no_room(minutes: float, seconds: float) -> str:
    """Say that a pause would last beyond the budget."""
    return (
        f"the budget of {minutes:g} minutes (max_minutes) has no room for a pause of "
        f"{seconds:,.0f} s"
    )


def own_pause(tries: int) -> float:
    """Return the seconds to wait after so many tries that failed (1 or more)."""
    return FIRST_PAUSE_SECONDS * 2**tries
