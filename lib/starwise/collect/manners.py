"""How the spider behaves: Scrapy's settings.

Scrapy waits 180 seconds for a page, takes one of up to 1 GiB, and follows links without end.
A guest of a small site should know better.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starwise.collect.spider import Orders

TRIES_MORE = 4
TIMEOUT_SECONDS = 10
LARGEST_PAGE_BYTES = 10_000_000


def settings_for(orders: "Orders") -> dict[str, object]:
    """Return Scrapy's settings for one crawl: brisk on this machine, gentle anywhere else."""
    shared = {
        "USER_AGENT": orders.user_agent,
        "ROBOTSTXT_OBEY": True,
        "ROBOTSTXT_USER_AGENT": orders.user_agent,
        "DOWNLOAD_TIMEOUT": TIMEOUT_SECONDS,
        "DOWNLOAD_MAXSIZE": LARGEST_PAGE_BYTES,
        "DOWNLOAD_WARNSIZE": 0,
        "DEPTH_LIMIT": orders.max_pages,
        "CLOSESPIDER_PAGECOUNT": orders.max_pages,
        "CLOSESPIDER_TIMEOUT": orders.max_minutes * 60,
        "RETRY_TIMES": TRIES_MORE,
        "REDIRECT_MAX_TIMES": 3,
        "DOWNLOADER_MIDDLEWARES": {
            "scrapy.downloadermiddlewares.retry.RetryMiddleware": None,
            "starwise.collect.patience.PatientRetry": 550,
        },
        "LOG_LEVEL": "WARNING",
        "TELNETCONSOLE_ENABLED": False,
    }
    return (
        shared
        | (_ON_THIS_MACHINE if orders.local else _ELSEWHERE)
        | {
            "CONCURRENT_REQUESTS": orders.concurrency if orders.local else 1,
            "CONCURRENT_REQUESTS_PER_DOMAIN": orders.concurrency if orders.local else 1,
        }
    )


# Nobody else is on this machine: no cookies, caches or proxies to mind, no pauses.
_ON_THIS_MACHINE = {
    "COOKIES_ENABLED": False,
    "HTTPPROXY_ENABLED": False,
    "COMPRESSION_ENABLED": False,
    "DOWNLOAD_DELAY": 0,
}
_ELSEWHERE = {
    "AUTOTHROTTLE_ENABLED": True,
    "AUTOTHROTTLE_START_DELAY": 2,
    "AUTOTHROTTLE_TARGET_CONCURRENCY": 1,
    "DOWNLOAD_DELAY": 1,  # at least: AutoThrottle makes it longer where the site is slow
    "RANDOMIZE_DOWNLOAD_DELAY": False,
}
